-- A connection takes a session over: the generation goes up, so the old one's commits are fenced.
-- KEYS: the session's hash, the set of the sessions of this node, the due sessions.
-- ARGV: the generation that was seen, the one to be, node, session, prefix of the nodes' sets,
--       prefix of the topics' metas, the client's attempt ('': it does not count them), topics that
--       every connection is in.
-- Returns {'taken', the session's hash, {topic, epoch, offset, ...}}, {'changed'}, {'gone'}, or
-- {'overtaken'}: a later attempt of this client came first, and this one has lain about somewhere.
-- A late or second copy changes nothing: the generation it saw is no longer there.
local call = redis.call
local found = call('HMGET', KEYS[1], 'gen', 'node', 'attempt')
if not found[1] then return {'gone'} end
if found[1] == ARGV[1] then
  if ARGV[7] ~= '' then
    if found[3] and tonumber(ARGV[7]) <= tonumber(found[3]) then return {'overtaken'} end
    call('HSET', KEYS[1], 'attempt', ARGV[7])
  end
  call('HSET', KEYS[1], 'gen', ARGV[2], 'node', ARGV[3])
  call('SREM', ARGV[5] .. found[2], ARGV[4])
  call('SADD', KEYS[2], ARGV[4])
  call('ZREM', KEYS[3], ARGV[4])
elseif found[1] ~= ARGV[2] then
  return {'changed'}
end
local session = call('HGETALL', KEYS[1])
local topics = {}
for i = 8, #ARGV do topics[#topics + 1] = ARGV[i] end
for i = 1, #session, 2 do
  if string.sub(session[i], 1, 2) == 't:' then topics[#topics + 1] = string.sub(session[i], 3) end
end
local cursors = {}
for _, topic in ipairs(topics) do
  local meta = call('GET', ARGV[6] .. topic)
  local epoch, offset = '', '0'
  if meta then epoch, offset = string.match(meta, '^(%S+) %S+ (%d+)$') end
  cursors[#cursors + 1] = topic
  cursors[#cursors + 1] = epoch
  cursors[#cursors + 1] = offset
end
return {'taken', session, cursors}
