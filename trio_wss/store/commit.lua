-- One event's effects as one commit: every check first, then the writes, because Redis never
-- rolls a script back. executor.py lays the arguments out; reads.lua stands before this text.
--
-- KEYS[1] the owner's hash (its ring), KEYS[2] the session's hash, KEYS[3] the master_replid that
-- each hello writes, then whatever is touched.
-- ARGV: slot, number, generation ('' no session, '+' a new one), answer, keep ('1': record it
--       though nothing is written), most topics a session may be in, channel prefix, number of
--       requests, the requests (reads.lua), the operations (WRITE).
-- Returns {'done' | 'seen', record}, {'changed', entries}, {'stale'}, {'fenced'} or {'gone'}.
-- A record is 'membership\nanswer' (membership: JSON, [topic,epoch,offset] for each topic joined
-- and [topic] for each left), or '!fault' when a check failed, or '~' when a node's own
-- commit met changed reads: that number is spent, a late copy of it must not run.
local find, sub, gsub, format = string.find, string.sub, string.gsub, string.format
local OWNER, SESSION = KEYS[1], KEYS[2]
local SLOT, NUMBER, GENERATION, ANSWER = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local KEEP, MOST_TOPICS, CHANNEL, REQUESTS = ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8])
local FIRST, LAST = 9 + REQUESTS * 4, #ARGV
local COMMIT = OWNER .. ':' .. NUMBER
local HASH_MARK = {m = MAP, s = SET}
local DAY = 86400000
local LIMIT = 9007199254740992   -- 2^53: beyond it a Lua number is not exact

-- How many arguments each operation has, itself included.
local SIZE = {
  S = 4, D = 2, I = 5, A = 6, P = 7, R = 5, J = 7, L = 5, C = 3, B = 8, V = 4, N = 6, E = 5,
}

local function key(at) return KEYS[tonumber(ARGV[at])] end

local function record(text)
  call('HSET', OWNER, SLOT, NUMBER .. ' ' .. text)
end

local function fail(fault)
  record('!' .. fault)
  return {'done', '!' .. fault}
end

-- 1. Seen before?
local owner = call('HMGET', OWNER, SLOT, 'gen')
if owner[1] then
  local space = find(owner[1], ' ', 1, true)
  local taken = sub(owner[1], 1, space - 1)
  if taken == NUMBER then return {'seen', sub(owner[1], space + 1)} end
  if tonumber(taken) > tonumber(NUMBER) then return {'stale'} end
end

-- 2. Still ours?
if not owner[2] then return {'gone'} end
if GENERATION == '+' then
  if call('EXISTS', SESSION) == 1 then return {'fenced'} end
elseif GENERATION ~= '' then
  local generation = owner[2]
  if SESSION ~= OWNER then generation = call('HGET', SESSION, 'gen') end
  if not generation then return {'gone'} end
  if generation ~= GENERATION then
    -- An older one: ours came from a resume that a failover has lost.
    local function number(text) return tonumber(string.match(text, '^%d+')) end
    return {number(generation) < number(GENERATION) and 'gone' or 'fenced'}
  end
end

-- 3. Anything read since changed?
for i = 0, REQUESTS - 1 do
  local at = 9 + i * 4
  if version_of(ARGV[at], key(at + 1), ARGV[at + 2]) ~= ARGV[at + 3] then
    if SESSION ~= OWNER then record('~') end
    return {'changed', read_all(9, REQUESTS)}
  end
end

-- 4. Can every write succeed?
local counters = {}   -- key -> what the increments so far will have made of it
local joined = 0      -- topics the session will newly be in

local function check_counter(at)
  local name = key(at + 1)
  local value = counters[name]
  if not value then
    local stored = try('GET', name)
    if type(stored) == 'table' then return 'wrong_type' end
    if stored and not find(stored, '^-?%d+$') then return 'wrong_type' end
    value = tonumber(stored or '0')
    if value >= LIMIT or value <= -LIMIT then return 'overflow' end
  end
  value = value + tonumber(ARGV[at + 2])
  if value >= LIMIT or value <= -LIMIT then return 'overflow' end
  counters[name] = value
end

local function check_list(at)
  if type(try('LLEN', key(at + 1))) == 'table' then return 'wrong_type' end
end

local function check_hash(at)
  local mark = try('HGET', key(at + 1), HASH_MARK[ARGV[at + 2]])
  if type(mark) == 'table' then return 'wrong_type' end
  if not mark and call('EXISTS', key(at + 1)) == 1 then return 'wrong_type' end
end

local function check_join(at)
  if call('HEXISTS', SESSION, 't:' .. ARGV[at + 3]) == 0 then joined = joined + 1 end
end

local CHECK = {I = check_counter, A = check_list, P = check_hash, R = check_hash, J = check_join}

local at = FIRST
while at <= LAST do
  local check = CHECK[ARGV[at]]
  local fault = check and check(at)
  if fault then return fail(fault .. ' ' .. key(at + 1)) end
  at = at + SIZE[ARGV[at]]
end
if joined > 0 and joined + tonumber(call('HGET', SESSION, 'topics') or '0') > tonumber(MOST_TOPICS) then
  return fail('topics')
end

-- 5. Write.
local results = {}   -- placeholder number -> outcome
local membership = {}   -- what changed in it, as JSON

local function splice(text)
  if find(text, '\255', 1, true) then return (gsub(text, '\255(%d+)\255', results)) end
  return text
end

local function expire(name, ttl)
  if ttl ~= '' then call('PEXPIRE', name, ttl) end
end

-- A hash that holds nothing but its reserved field is gone.
local function touch(name, mark)
  if call('HLEN', name) == 1 then call('DEL', name) else call('HSET', name, mark, COMMIT) end
end

-- A topic's meta is one string, 'epoch master offset'; a topic without one is at ('', 0).
local function topic_state(meta)
  local text = call('GET', meta)
  if not text then return '', '', 0 end
  local epoch, master, offset = string.match(text, '^(%S+) (%S+) (%d+)$')
  return epoch, master, tonumber(offset)
end

local function new_epoch(master)
  local now = call('TIME')
  return format('%x', tonumber(now[1]) * 1000000 + tonumber(now[2])) .. sub(master, 1, 4)
end

local function joined_at(topic, meta)
  local epoch, _, offset = topic_state(meta)
  membership[#membership + 1] = '[' .. topic .. ',"' .. epoch .. '",' .. format('%.0f', offset) .. ']'
end

local function leave(members, topic, session)
  if call('HDEL', SESSION, 't:' .. topic) == 1 then call('HINCRBY', SESSION, 'topics', -1) end
  if call('HDEL', members, session) == 1 then touch(members, MEMBERS) end
end

local WRITE = {}

-- S key value ttl
function WRITE.S(at)
  if ARGV[at + 3] == '' then
    call('SET', key(at + 1), ARGV[at + 2])
  else
    call('SET', key(at + 1), ARGV[at + 2], 'PX', ARGV[at + 3])
  end
end

-- D key
function WRITE.D(at) call('DEL', key(at + 1)) end

-- I key by ttl result: the ttl counts from the key's creation
function WRITE.I(at)
  local name, ttl = key(at + 1), ARGV[at + 3]
  local fresh = ttl ~= '' and call('EXISTS', name) == 0
  results[ARGV[at + 4]] = format('%.0f', call('INCRBY', name, ARGV[at + 2]))
  if fresh then call('PEXPIRE', name, ttl) end
end

-- A key value limit ttl result
function WRITE.A(at)
  local name, limit = key(at + 1), tonumber(ARGV[at + 3])
  local length = call('RPUSH', name, ARGV[at + 2])
  if length > limit then
    call('LTRIM', name, -limit, -1)
    length = limit
  end
  results[ARGV[at + 5]] = format('%.0f', length)
  expire(name, ARGV[at + 4])
end

-- P key mark field value ttl result
function WRITE.P(at)
  local name = key(at + 1)
  results[ARGV[at + 6]] = format('%.0f', call('HSET', name, ARGV[at + 3], ARGV[at + 4]))
  call('HSET', name, HASH_MARK[ARGV[at + 2]], COMMIT)
  expire(name, ARGV[at + 5])
end

-- R key mark field result
function WRITE.R(at)
  local name = key(at + 1)
  local removed = call('HDEL', name, ARGV[at + 3])
  if removed == 1 then touch(name, HASH_MARK[ARGV[at + 2]]) end
  results[ARGV[at + 4]] = format('%.0f', removed)
end

-- N own session node client token: the session begins, at generation 1
function WRITE.N(at)
  call('HSET', SESSION, 'gen', '1', 'node', ARGV[at + 3], 'client', ARGV[at + 4],
    'token', ARGV[at + 5])
  call('SADD', key(at + 1), ARGV[at + 2])
end

-- E due session members-prefix sets-prefix: the session ends and leaves every topic it is in,
-- which only its hash knows. Those keys are not declared; they carry the hash tag of the others.
function WRITE.E(at)
  local session = ARGV[at + 2]
  for _, field in ipairs(call('HKEYS', SESSION)) do
    if sub(field, 1, 2) == 't:' then
      leave(ARGV[at + 3] .. sub(field, 3), sub(field, 3), session)
    end
  end
  call('SREM', ARGV[at + 4] .. call('HGET', SESSION, 'node'), session)
  call('ZREM', key(at + 1), session)
  call('DEL', SESSION)
end

-- J members meta topic session info quoted
function WRITE.J(at)
  if call('HSET', SESSION, 't:' .. ARGV[at + 3], '1') == 1 then
    call('HINCRBY', SESSION, 'topics', 1)
  end
  call('HSET', key(at + 1), ARGV[at + 4], ARGV[at + 5], MEMBERS, COMMIT)
  joined_at(ARGV[at + 6], key(at + 2))
end

-- L members topic session quoted
function WRITE.L(at)
  leave(key(at + 1), ARGV[at + 2], ARGV[at + 3])
  membership[#membership + 1] = '[' .. ARGV[at + 4] .. ']'
end

-- C meta quoted: where a topic is that the connection is in by itself
function WRITE.C(at) joined_at(ARGV[at + 2], key(at + 1)) end

-- V topic head data: a volatile broadcast has neither epoch nor offset
function WRITE.V(at)
  call('PUBLISH', CHANNEL .. ARGV[at + 1], '\n' .. ARGV[at + 2] .. ',"data":' .. splice(ARGV[at + 3]) .. '}')
end

-- B meta stream topic head data length ttl. What is published and kept is one text: a line
-- 'epoch offset', with the epoch before it where the epoch is new, and the frame's JSON.
function WRITE.B(at)
  local meta, stream, ttl = key(at + 1), key(at + 2), tonumber(ARGV[at + 7])
  local epoch, written_by, offset = topic_state(meta)
  local master = call('GET', KEYS[3]) or '-'
  local after = ''
  if written_by ~= master then
    after = ' ' .. epoch
    epoch = new_epoch(master)
  end
  offset = format('%.0f', offset + 1)
  local text = epoch .. ' ' .. offset .. after .. '\n' .. ARGV[at + 4] .. ',"epoch":"' .. epoch
    .. '","offset":' .. offset .. ',"data":' .. splice(ARGV[at + 5]) .. '}'
  call('SET', meta, epoch .. ' ' .. master .. ' ' .. offset, 'PX', ttl + DAY)
  local id = offset .. '-0'
  if type(try('XADD', stream, 'MAXLEN', ARGV[at + 6], id, '', text)) == 'table' then
    call('DEL', stream)   -- its top is beyond the topic's offset: it is of another history
    call('XADD', stream, id, '', text)
  end
  call('PEXPIRE', stream, ttl)
  call('PUBLISH', CHANNEL .. ARGV[at + 3], text)
end

at = FIRST
while at <= LAST do
  WRITE[ARGV[at]](at)
  at = at + SIZE[ARGV[at]]
end

local text = table.concat(membership, ',') .. '\n' .. splice(ANSWER)
if FIRST <= LAST or KEEP == '1' then record(text) end
return {'done', text}
