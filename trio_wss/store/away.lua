-- Mark a session that has lost its connection: it is due when its grace is over, unless it is
-- resumed. From here on no node owns it: a session is either in the set of a node, or due.
-- KEYS: the session's hash, the due sessions. ARGV: session, generation ('' any, if it is this
-- node's), grace (ms), node, prefix of the nodes' sets.
-- A session that is already due stays due: its grace starts anew only after a new connection, which
-- has a new generation.
local found = redis.call('HMGET', KEYS[1], 'gen', 'away', 'node')
if not found[1] or found[2] == found[1] then return 0 end
if ARGV[2] == '' then
  if found[3] ~= ARGV[4] then return 0 end
elseif ARGV[2] ~= found[1] then
  return 0
end
local now = redis.call('TIME')
local due = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000) + ARGV[3]
redis.call('HSET', KEYS[1], 'away', found[1])
redis.call('SREM', ARGV[5] .. found[3], ARGV[1])
redis.call('ZADD', KEYS[2], string.format('%.0f', due), ARGV[1])
return 1
