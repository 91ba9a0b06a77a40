-- Take a session over for a new connection: the generation goes up, so that commits of the old
-- connection are fenced.
-- KEYS: the session's hash, its ring, the set of the sessions of this node, this node's record, the
--       due sessions.
-- ARGV: the generation that was seen, the new one, node, session, prefix of the nodes' sets,
--       prefix of the topics' metas, the client's attempt ('': it does not count them), topics that
--       every connection is in.
-- Returns {'taken', the highest id used, {topic, epoch, offset, ...}}, {'changed'}, {'gone'},
-- {'overtaken'}: a later attempt of this client came first, and this one was delayed on its way; or
-- {'buried'}: this node counts as dead, and nobody would ever look for its sessions.
-- A late or second copy changes nothing: the generation that it saw has been replaced.
local call = redis.call
local found = call('HMGET', KEYS[1], 'gen', 'node', 'attempt')
if not found[1] then return {'gone'} end
if found[1] == ARGV[1] then
  if call('EXISTS', KEYS[4]) == 0 then return {'buried'} end
  if ARGV[7] ~= '' then
    if found[3] and tonumber(ARGV[7]) <= tonumber(found[3]) then return {'overtaken'} end
    call('HSET', KEYS[1], 'attempt', ARGV[7])
  end
  call('HSET', KEYS[1], 'gen', ARGV[2], 'node', ARGV[3])
  call('SREM', ARGV[5] .. found[2], ARGV[4])
  call('SADD', KEYS[3], ARGV[4])
  call('ZREM', KEYS[5], ARGV[4])
elseif found[1] ~= ARGV[2] then
  return {'changed'}
end
local topics = {}
for i = 8, #ARGV do topics[#topics + 1] = ARGV[i] end
for _, field in ipairs(call('HKEYS', KEYS[1])) do
  if string.sub(field, 1, 2) == 't:' then topics[#topics + 1] = string.sub(field, 3) end
end
local cursors = {}
for _, topic in ipairs(topics) do
  local meta = call('GET', ARGV[6] .. topic)
  local epoch, offset = '', '0'
  if meta then epoch, offset = string.match(meta, '^(%S+) %S+ (%d+)$') end
  cursors[#cursors + 1] = topic
  cursors[#cursors + 1] = epoch or ''
  cursors[#cursors + 1] = offset or '0'
end
return {'taken', call('HGET', KEYS[2], 'top') or '0', cursors}
