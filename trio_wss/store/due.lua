-- The janitor's round. The sessions of a node whose lease is over become due after their grace;
-- due sessions are handed out, and are due again a little later in case their janitor dies.
-- KEYS: the due sessions, the nodes, the pulse (beat.lua). ARGV: most, grace (ms), again (ms),
--       prefix of sessions, prefix of the nodes' sets, prefix of the nodes' records, lease (ms).
-- Returns {session, generation, client, ...}; nothing for the length of a lease after a silence of
-- all nodes: Redis was away, and they, and the clients that want to resume, come back first.
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local most, grace, again = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local last, since = string.match(call('GET', KEYS[3]) or '', '^(%d+) (%d+)$')
if last and (now - since < tonumber(ARGV[7]) or now - last > ARGV[7] / 2) then return {} end
local function at(later) return string.format('%.0f', now + later) end

for _, node in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', at(0), 'LIMIT', 0, 1)) do
  local orphans = call('SPOP', ARGV[5] .. node, most)
  for _, session in ipairs(orphans) do call('ZADD', KEYS[1], 'NX', at(grace), session) end
  call('DEL', ARGV[6] .. node)   -- should it wake now, it learns that it has lost its sessions
  if #orphans < most then call('ZREM', KEYS[2], node) end
end

local reply = {}
for _, session in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', at(0), 'LIMIT', 0, most)) do
  local found = call('HMGET', ARGV[4] .. session, 'gen', 'client')
  if found[1] then
    call('ZADD', KEYS[1], at(again), session)
    reply[#reply + 1] = session
    reply[#reply + 1] = found[1]
    reply[#reply + 1] = found[2]
  else
    call('ZREM', KEYS[1], session)
  end
end
return reply
