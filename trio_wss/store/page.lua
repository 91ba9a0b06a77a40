-- Read a topic's stream from a cursor on. KEYS: meta, stream. ARGV: epoch, offset, most. The script
-- stops early at about 1 MiB, and reads few entries at a time, since one entry may be that long.
-- Returns {'whole' | 'broken', epoch, offset, text...}: the topic's own cursor, and the broadcasts
-- after the given one. Broken: the given one is neither the last entry nor still in the stream.
local text = redis.call('GET', KEYS[1])
local epoch, offset = '', '0'
if text then epoch, offset = string.match(text, '^(%S+) %S+ (%d+)$') end
if epoch == ARGV[1] and offset == ARGV[2] then return {'whole', epoch, offset} end
local reply = {'whole', epoch, offset}
local function read(from, count)
  return redis.call('XRANGE', KEYS[2], from, '+', 'COUNT', count)
end
local STEP, ENOUGH = 32, 1048576
local left = tonumber(ARGV[3])
local entries = read(ARGV[2] .. '-0', math.min(left + 1, STEP))
local first = 2
if ARGV[2] == '0' and ARGV[1] == '' then   -- the cursor of an empty topic
  first = 1
  if not entries[1] or entries[1][1] ~= '1-0' then return {'broken', epoch, offset} end
elseif not entries[1] or entries[1][1] ~= ARGV[2] .. '-0'
  or string.match(entries[1][2][2], '^%S+') ~= ARGV[1] then
  return {'broken', epoch, offset}
end
local size = 0
while true do
  for i = first, #entries do
    local text = entries[i][2][2]
    reply[#reply + 1] = text
    left, size = left - 1, size + #text
    if left == 0 or size >= ENOUGH then return reply end
  end
  if #entries == 0 then return reply end
  entries, first = read('(' .. entries[#entries][1], math.min(left, STEP)), 1
end
