-- A node's record and its lease. KEYS: the node's hash, the set of nodes, the pulse, the node's ring.
-- ARGV: node, lease (ms), 'new' to register. Returns 1, or 0 when the record is gone. Redis' clock alone decides.
--
-- The pulse is 'last since': when any node beat last, and since when there was no long silence of
-- all. Such a silence is that of Redis, and not the death of its nodes; due.lua waits it out.
if ARGV[3] == 'new' then
  redis.call('HSET', KEYS[1], 'gen', '1')
  redis.call('PERSIST', KEYS[4])   -- it was to go, if a janitor took us for dead
elseif redis.call('HEXISTS', KEYS[1], 'gen') == 0 then
  return 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
local last, since = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) (%d+)$')
if last and now - last > ARGV[2] / 2 then since = string.format('%.0f', now) end
redis.call('SET', KEYS[3], string.format('%.0f ', now) .. (since or '0'))
return 1
