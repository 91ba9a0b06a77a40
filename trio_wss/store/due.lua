-- The janitor's round. The sessions of a node whose lease is over become due: their grace counts
-- from the end of that lease, but from one lease ago at the earliest. Due sessions are handed out,
-- and are due again a little later in case the janitor that got them dies.
-- KEYS: the due sessions, the nodes, the pulse (beat.lua). ARGV: most, grace (ms), again (ms),
--       prefix of sessions, of the nodes' sets, of the nodes' records, lease (ms), prefix of rings,
--       how many sessions of dead nodes become due in one call.
-- Returns {'more' if dead nodes have more sessions, else '', the nodes removed, {session,
-- generation, client, ...}}. For the length of a lease after a silence of all nodes it returns
-- nothing: Redis was away, and the nodes and the clients that want to resume come back first.
local call = redis.call
local time = call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local most, grace, again, lease = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[7])
local last, since = string.match(call('GET', KEYS[3]) or '', '^(%d+) (%d+)$')
if last and (now - since < lease or now - last > lease / 2) then return {'', {}, {}} end
local function text(time) return string.format('%.0f', time) end

local left, buried, more = tonumber(ARGV[9]), {}, ''
local dead = call('ZRANGEBYSCORE', KEYS[2], '-inf', text(now), 'WITHSCORES', 'LIMIT', 0, 100)
for i = 1, #dead, 2 do
  local node = dead[i]
  local due = text(math.max(tonumber(dead[i + 1]), now - lease) + grace)
  local orphans = call('SPOP', ARGV[5] .. node, left)
  for _, session in ipairs(orphans) do call('ZADD', KEYS[1], 'NX', due, session) end
  -- If the node wakes up now, it learns that it has lost its sessions. Its ring stays for a day: if
  -- the node registers anew, late copies of its earlier commits must still be recognised.
  call('DEL', ARGV[6] .. node)
  call('PEXPIRE', ARGV[8] .. node, 86400000)
  left = left - #orphans
  if left == 0 then
    more = 'more'
    break
  end
  call('ZREM', KEYS[2], node)
  buried[#buried + 1] = node
end

local reply = {}
for _, session in ipairs(call('ZRANGEBYSCORE', KEYS[1], '-inf', text(now), 'LIMIT', 0, most)) do
  local found = call('HMGET', ARGV[4] .. session, 'gen', 'client')
  if found[1] then
    call('ZADD', KEYS[1], text(now + again), session)
    reply[#reply + 1] = session
    reply[#reply + 1] = found[1]
    reply[#reply + 1] = found[2]
  else
    call('ZREM', KEYS[1], session)
    call('DEL', ARGV[8] .. session)   -- its ring, if something else deleted the session
  end
end
return {more, buried, reply}
