-- What a topic's stream holds after a cursor. KEYS: meta, stream. ARGV: epoch, offset, most.
-- Returns {'whole' | 'broken', epoch, offset, text...}: the topic's own cursor, and the broadcasts
-- that follow ours. Broken: ours is neither the last entry nor still in the stream.
local text = redis.call('GET', KEYS[1])
local epoch, offset = '', '0'
if text then epoch, offset = string.match(text, '^(%S+) %S+ (%d+)$') end
if epoch == ARGV[1] and offset == ARGV[2] then return {'whole', epoch, offset} end
local reply = {'whole', epoch, offset}
local entries = redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', '+', 'COUNT', ARGV[3] + 1)
local first = 2
if ARGV[2] == '0' and ARGV[1] == '' then   -- nothing was there yet: all is ours from entry 1 on
  first = 1
  if not entries[1] or entries[1][1] ~= '1-0' then return {'broken', epoch, offset} end
elseif not entries[1] or entries[1][1] ~= ARGV[2] .. '-0'
  or string.match(entries[1][2][2], '^%S+') ~= ARGV[1] then
  return {'broken', epoch, offset}
end
for i = first, #entries do reply[#reply + 1] = entries[i][2][2] end
return reply
