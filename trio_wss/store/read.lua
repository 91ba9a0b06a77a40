-- All reads of one event at one instant. ARGV: how many bytes may be answered, then the requests;
-- KEYS: what they read. Returns the entries, or {'large', their bytes} where those are too many.
local entries, size = read_all(2, 1, #KEYS)
if size > tonumber(ARGV[1]) then return {'large', size} end
return entries
