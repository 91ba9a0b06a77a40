-- A node's record and its lease. KEYS: the node's hash, the set of nodes. ARGV: node, lease (ms),
-- 'new' to register. Returns 1, or 0 when the record is gone. Redis' clock alone decides.
if ARGV[3] == 'new' then
  redis.call('HSET', KEYS[1], 'gen', '1')
elseif redis.call('HEXISTS', KEYS[1], 'gen') == 0 then
  return 0
end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[2], tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + ARGV[2], ARGV[1])
return 1
