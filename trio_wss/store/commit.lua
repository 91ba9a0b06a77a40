-- Apply one event's effects as one commit: every check first, then the writes, because Redis never
-- rolls a script back. executor.py lays the arguments out; reads.lua stands before this text.
--
-- KEYS[1] the ring of the commit's owner, KEYS[2] its hash: the session's, for an event with an id,
-- else the node's; KEYS[3] the session's hash, KEYS[4] the master_replid that each hello writes,
-- then what is read, then what each operation touches, in their order.
-- ARGV: slot, number, generation ('' no session, '+' a new one), answer, most topics a session may
--       be in, channel prefix, answered ('' for an event with an id; a node says up to which number
--       its own are answered), number of requests, the requests (reads.lua), the operations (4).
-- Returns {'done', record}, {'seen', record, topics the session is in, if it tells of any},
-- {'changed', entries}, {'stale'}, {'fenced'} or {'gone'}.
-- A record is 'changes\nanswer' (changes: JSON, [topic,epoch,offset] for each topic joined,
-- [topic] for each left, [code,reason] for a Close), or '!fault' when a check failed, or '~' when
-- a node's own commit met changed reads: that number is spent, a late copy of it must not run.
--
-- Every event with an id leaves a record, whatever its outcome: otherwise a late first copy could
-- apply effects that were refused meanwhile, after the handler decided again. A session's ring has
-- 64 slots, and 'top', the highest number used. A node's ring has one slot for each commit that is
-- on its way, and 'top', the number up to which all are answered: a late copy of those is stale.
local find, sub, format = string.find, string.sub, string.format
local RING, OWNER, SESSION, NUMBER = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[2])
local ANSWERED = tonumber(ARGV[7])   -- nil: the client numbers its events
local REQUESTS = tonumber(ARGV[8])
local FIRST, LAST = 9 + REQUESTS * 3, #ARGV
local DAY = 86400000
local LIMIT = 9007199254740992   -- 2^53: beyond it a Lua number is not exact

local seen = call('HMGET', RING, ARGV[1], 'top')
local top = tonumber(seen[2] or '0')

-- A node's own records, one for each number, are deleted when their answers have come.
local function forget(first, last)
  if last - first < 4096 then
    for number = first, last do call('HDEL', RING, format('%.0f', number)) end
  else
    for _, number in ipairs(call('HKEYS', RING)) do
      if number ~= 'top' and tonumber(number) <= last then call('HDEL', RING, number) end
    end
  end
end

local function record(text)
  text = ARGV[2] .. ' ' .. text
  if not ANSWERED then
    call('HSET', RING, ARGV[1], text, 'top', format('%.0f', math.max(top, NUMBER)))
  elseif ANSWERED > top then
    call('HSET', RING, ARGV[1], text, 'top', format('%.0f', ANSWERED))
    forget(top + 1, ANSWERED)
  else
    call('HSET', RING, ARGV[1], text)
  end
end

local function fail(fault)
  record('!' .. fault)
  return {'done', '!' .. fault}
end

-- 1. Seen before?
if seen[1] then
  local space = find(seen[1], ' ', 1, true)
  local taken = tonumber(sub(seen[1], 1, space - 1))
  if taken == NUMBER then
    local text = sub(seen[1], space + 1)
    -- Later commits may have changed the memberships again.
    return {'seen', text, sub(text, 1, 1) == '[' and call('HKEYS', SESSION) or nil}
  end
  if taken > NUMBER then return {'stale'} end
end
if ANSWERED and NUMBER <= top then return {'stale'} end

-- 2. Still ours?
local generation, now = ARGV[3], call('HGET', OWNER, 'gen')
if not now then return {'gone'} end
if generation == '+' then
  if call('EXISTS', SESSION) == 1 then return {'fenced'} end
elseif generation ~= '' then
  if SESSION ~= OWNER then now = call('HGET', SESSION, 'gen') end
  if not now then return {'gone'} end
  if now ~= generation then
    -- If it is older, ours came from a resume that a failover has lost.
    local function number(text) return tonumber(string.match(text, '^%d+')) end
    return {number(now) < number(generation) and 'gone' or 'fenced'}
  end
end

-- 3. Anything read since changed?
if REQUESTS > 0 then
  local _, version_of = readers()
  for i = 0, REQUESTS - 1 do
    local at = 9 + i * 3
    if version_of(ARGV[at], KEYS[5 + i], ARGV[at + 1]) ~= ARGV[at + 2] then
      if ANSWERED then record('~') end
      local entries, size = read_all(9, 5, REQUESTS)
      return {'changed', size > ALLOWANCE and {} or entries}   -- none: the node reads again
    end
  end
end

-- 4. The operations, in two passes: check that every write can succeed, then write. No command of
-- the second pass may raise, so the first pass refuses keys that others have overwritten. Each
-- operation is a letter and its arguments, and takes the next keys.
local counters = {}   -- key -> its value after the increments so far
local metas = {}      -- key -> {epoch, written by which master, offset} of a topic
local joined = 0      -- how many more topics the session will be in
local results = {}    -- placeholder number -> outcome
local changes = ''    -- the memberships' changes and a Close, as JSON
local master          -- the master_replid, once it is known
local mark = OWNER .. ':' .. ARGV[2]   -- what this commit writes has this version

local function check_counter(key, by)
  local value = counters[key]
  if not value then
    value = try('GET', key) or '0'
    if type(value) == 'table' or not (value == '0' or find(value, '^-?[1-9]%d*$')) then
      return 'wrong_type ' .. key
    end
    value = tonumber(value)
    if value >= LIMIT or value <= -LIMIT then return 'overflow ' .. key end
  end
  value = value + by
  if value >= LIMIT or value <= -LIMIT then return 'overflow ' .. key end
  counters[key] = value
end

local function check_hash(key, kind)
  local there = try('HGET', key, '\255' .. kind)
  if type(there) == 'table' or (not there and call('EXISTS', key) == 1) then
    return 'wrong_type ' .. key
  end
end

-- A topic's meta is one string, 'epoch master offset'; a topic without one is at ('', 0).
local function check_meta(key)
  if metas[key] then return end
  local text = try('GET', key)
  if not text then
    metas[key] = {'', nil, 0}
    return
  end
  if type(text) == 'table' then return 'wrong_type ' .. key end
  local epoch, written_by, offset = string.match(text, '^(%S+) (%S+) (%d+)$')
  offset = tonumber(offset)
  if not offset or offset >= LIMIT then return 'wrong_type ' .. key end
  metas[key] = {epoch, written_by, offset}
end

-- Return how many topics the session is in; its hash keeps the count.
local function topics_now() return tonumber(call('HGET', SESSION, 'topics') or '0') or LIMIT end

local function check_members(key, topic)
  if type(try('HGET', key, MEMBERS)) == 'table' then return 'wrong_type ' .. key end
  return call('HEXISTS', SESSION, 't:' .. topic)
end

local function splice(text)
  if find(text, '\255', 1, true) then return (string.gsub(text, '\255(%d+)\255', results)) end
  return text
end

-- Delete a hash that holds only its reserved field; else write that field.
local function touch(key, field)
  if call('HLEN', key) == 1 then
    call('DEL', key)
  else
    call('HSET', key, field, mark)
  end
end

local function leave(members, topic, session)
  if call('HDEL', SESSION, 't:' .. topic) == 1 then call('HINCRBY', SESSION, 'topics', -1) end
  if try('HDEL', members, session) == 1 then touch(members, MEMBERS) end
end

local function tell(change) changes = changes == '' and change or changes .. ',' .. change end

local function tell_cursor(topic, key)
  tell('[' .. topic .. ',"' .. metas[key][1] .. '",' .. format('%.0f', metas[key][3]) .. ']')
end

-- One text is published and kept: a line 'epoch offset', with the previous epoch behind them if
-- the epoch is new, and then the frame's JSON.
local function broadcast(key, stream, topic, head, data, length, ttl)
  local meta, after = metas[key], ''
  master = master or call('GET', KEYS[4]) or '-'
  if meta[2] ~= master then
    local now = call('TIME')
    after = ' ' .. meta[1]
    meta[1] = format('%x', tonumber(now[1]) * 1000000 + tonumber(now[2])) .. sub(master, 1, 4)
    meta[2] = master
  end
  meta[3] = meta[3] + 1
  local epoch, offset = meta[1], format('%.0f', meta[3])
  local text = epoch .. ' ' .. offset .. after .. '\n' .. head .. ',"epoch":"' .. epoch
    .. '","offset":' .. offset .. ',"data":' .. splice(data) .. '}'
  call('SET', key, epoch .. ' ' .. master .. ' ' .. offset, 'PX', ttl + DAY)
  local id = offset .. '-0'
  if type(try('XADD', stream, 'MAXLEN', length, id, '', text)) == 'table' then
    call('DEL', stream)   -- its last id is beyond the topic's offset: it belongs to another history
    call('XADD', stream, id, '', text)
  end
  call('PEXPIRE', stream, ttl)
  call('PUBLISH', ARGV[6] .. topic, text)
end

for pass = 1, 2 do
  local checking = pass == 1
  local at, k = FIRST, 5 + REQUESTS
  while at <= LAST do
    local op, key = ARGV[at], KEYS[k]
    local a, b, c, d = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4]
    local fault
    if op == 'B' then   -- meta, stream: topic head data length ttl
      if checking then
        fault = check_meta(key)
      else
        broadcast(key, KEYS[k + 1], a, b, c, d, ARGV[at + 5])
      end
      at, k = at + 6, k + 2
    elseif op == 'I' then   -- key: by ttl result; the ttl counts from the key's creation
      if checking then
        fault = check_counter(key, a)
      else
        local fresh = b ~= '' and call('EXISTS', key) == 0
        results[c] = format('%.0f', call('INCRBY', key, a))
        if fresh then call('PEXPIRE', key, b) end
      end
      at, k = at + 4, k + 1
    elseif op == 'S' then   -- key: value ttl
      if checking then
        -- nothing can be in its way
      elseif b == '' then
        call('SET', key, a)
      else
        call('SET', key, a, 'PX', b)
      end
      at, k = at + 3, k + 1
    elseif op == 'P' then   -- key: kind field value ttl result
      if checking then
        fault = check_hash(key, a)
      else
        results[ARGV[at + 5]] = format('%.0f', call('HSET', key, b, c))
        call('HSET', key, '\255' .. a, mark)
        if d ~= '' then call('PEXPIRE', key, d) end
      end
      at, k = at + 6, k + 1
    elseif op == 'A' then   -- key: value limit ttl result
      if checking then
        if type(try('LLEN', key)) == 'table' then fault = 'wrong_type ' .. key end
      else
        local length, limit = call('RPUSH', key, a), tonumber(b)
        if length > limit then
          call('LTRIM', key, -limit, -1)
          length = limit
        end
        results[d] = format('%.0f', length)
        if c ~= '' then call('PEXPIRE', key, c) end
      end
      at, k = at + 5, k + 1
    elseif op == 'V' then   -- : topic head data; volatile: neither epoch nor offset
      if not checking then
        call('PUBLISH', ARGV[6] .. a, '\n' .. b .. ',"data":' .. splice(c) .. '}')
      end
      at = at + 4
    elseif op == 'D' then   -- key
      if not checking then call('DEL', key) end
      at, k = at + 1, k + 1
    elseif op == 'R' then   -- key: kind field result
      if checking then
        fault = check_hash(key, a)
      else
        local removed = call('HDEL', key, b)
        if removed == 1 then touch(key, '\255' .. a) end
        results[c] = format('%.0f', removed)
      end
      at, k = at + 4, k + 1
    elseif op == 'J' then   -- members, meta: topic session member quoted
      if checking then
        local there = check_members(key, a)
        if type(there) == 'number' then
          joined = joined + 1 - there
          fault = check_meta(KEYS[k + 1])
        else
          fault = there
        end
      else
        if call('HSET', SESSION, 't:' .. a, '1') == 1 then call('HINCRBY', SESSION, 'topics', 1) end
        call('HSET', key, b, c, MEMBERS, mark)
        tell_cursor(d, KEYS[k + 1])
      end
      at, k = at + 5, k + 2
    elseif op == 'L' then   -- members: topic session quoted
      if checking then
        local there = check_members(key, a)
        if type(there) == 'number' then joined = joined - there else fault = there end
      else
        leave(key, a, b)
        tell('[' .. c .. ']')
      end
      at, k = at + 4, k + 1
    elseif op == 'C' then   -- meta: quoted; where a topic is that the connection is in by itself
      if checking then fault = check_meta(key) else tell_cursor(a, key) end
      at, k = at + 2, k + 1
    elseif op == 'N' then   -- own, all sessions: session node client token; it begins, at 1
      if not checking then
        call('HSET', SESSION, 'gen', '1', 'node', b, 'client', c, 'token', d)
        call('SADD', key, a)
        call('SADD', KEYS[k + 1], a)
      end
      at, k = at + 5, k + 2
    elseif op == 'K' then   -- : change; the connection is closed
      if not checking then tell(a) end
      at = at + 2
    elseif op == 'E' then   -- due, all sessions, ring: session members-prefix sets-prefix; it ends,
      if not checking then  -- and leaves every topic, which only its hash knows: not declared
        for _, field in ipairs(call('HKEYS', SESSION)) do
          if sub(field, 1, 2) == 't:' then leave(b .. sub(field, 3), sub(field, 3), a) end
        end
        call('SREM', c .. call('HGET', SESSION, 'node'), a)
        call('ZREM', key, a)
        call('SREM', KEYS[k + 1], a)
        call('DEL', SESSION, KEYS[k + 2])
      end
      at, k = at + 4, k + 3
    else
      return redis.error_reply('ERR there is no operation ' .. op)
    end
    if fault then return fail(fault) end
  end
  if checking and joined > 0 and joined + topics_now() > tonumber(ARGV[5]) then
    return fail('topics')
  end
end

local text = changes .. '\n' .. splice(ARGV[4])
if FIRST <= LAST or not ANSWERED then record(text) end
return {'done', text}
