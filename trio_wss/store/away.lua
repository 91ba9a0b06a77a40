-- A session has lost its connection: it is due when its grace is over, unless it is resumed.
-- KEYS: the session's hash, the due sessions. ARGV: session, generation, grace (ms).
if redis.call('HGET', KEYS[1], 'gen') ~= ARGV[2] then return 0 end
local now = redis.call('TIME')
local due = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + ARGV[3]
redis.call('ZADD', KEYS[2], string.format('%.0f', due), ARGV[1])
return 1
