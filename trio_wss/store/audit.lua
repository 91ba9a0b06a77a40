-- Find sessions that nobody would ever end, whatever the cause. Each session must be in the set of
-- a node that has a lease, or be due; one that is neither becomes due after its grace.
-- KEYS: all sessions, the due sessions, the nodes. ARGV: the place to go on from ('0' at first),
--       how many, grace (ms), prefix of sessions, prefix of the nodes' sets.
-- Returns {the place to go on from, the sessions that were lost}.
local call = redis.call
local time = call('TIME')
local due = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) + ARGV[3]
local scan = call('SSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[2])
local lost = {}
for _, session in ipairs(scan[2]) do
  local node = call('HGET', ARGV[4] .. session, 'node')
  if not node then
    call('SREM', KEYS[1], session)
  elseif not call('ZSCORE', KEYS[2], session)
    and not (call('SISMEMBER', ARGV[5] .. node, session) == 1 and call('ZSCORE', KEYS[3], node)) then
    call('ZADD', KEYS[2], string.format('%.0f', due), session)
    lost[#lost + 1] = session
  end
end
return {scan[1], lost}
