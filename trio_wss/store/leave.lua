-- Sign a node off: its sessions are due after their grace, and nothing of the node stays.
-- KEYS: its record, its ring, the set of its sessions, the nodes, the due sessions.
-- ARGV: node, grace (ms), how many sessions in one call. Returns 1 when done, 0 to be called again.
local call = redis.call
local time = call('TIME')
local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ARGV[2]
local sessions = call('SPOP', KEYS[3], ARGV[3])
for _, session in ipairs(sessions) do
  call('ZADD', KEYS[5], 'NX', string.format('%.0f', due), session)
end
if #sessions == tonumber(ARGV[3]) then return 0 end
call('DEL', KEYS[1], KEYS[2])
call('ZREM', KEYS[4], ARGV[1])
return 1
