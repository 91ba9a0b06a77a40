-- Register a node or extend its lease; only Redis' clock counts.
-- KEYS: the node's hash, the set of nodes, the pulse, the node's ring.
-- ARGV: node, lease (ms), 'new' to register. Returns 1, or 0 if the record is gone.
--
-- The pulse is 'last since': the time of the last heartbeat of any node, and the end of the last
-- long silence of all nodes. In such a silence Redis was away, and the nodes are not dead; due.lua
-- waits before it ends their sessions.
if ARGV[3] == 'new' then
  redis.call('HSET', KEYS[1], 'gen', '1')
  redis.call('PERSIST', KEYS[4])   -- a janitor that took the node for dead let it expire
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
