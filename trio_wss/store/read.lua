-- Take all reads of one event at one instant. ARGV: the most bytes of an answer, then the requests;
-- KEYS: what they read. Returns the entries, or {'large', their bytes} if those are too many.
local entries, size = read_all(2, 1, #KEYS)
if size > tonumber(ARGV[1]) then return {'large', size} end
return entries
