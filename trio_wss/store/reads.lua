-- Take declared reads, and detect in a commit whether one has changed. read.lua and commit.lua both
-- begin with this text, so that a version means the same in both.
-- A request is three arguments: what ('value', 'field' or 'members'), field, version; and one key.
-- An entry is {version, kind, payload...}; an absent thing has version ''.
local call, try = redis.call, redis.pcall
local ALLOWANCE = 65536   -- most bytes of fresh entries in a commit's answer; as in executor.py
local MAP, SET, MEMBERS = '\255m', '\255s', '\255p'   -- reserved fields; valid UTF-8 has no 0xFF

-- These are made in a function, so that commits that read nothing do not make them.
local function readers()
  -- Hash a list with each element's length before it, so that different lists never look alike.
  local function list_version(items)
    local parts = {}
    for i, item in ipairs(items) do parts[i] = #item .. ':' .. item end
    return redis.sha1hex(table.concat(parts))
  end

  local function read_value(key)
    local value = try('GET', key)
    if value == false then return {'', 'none'} end
    if type(value) == 'string' then return {redis.sha1hex(value), 'value', value} end
    local kind = call('TYPE', key).ok
    if kind == 'list' then
      local items = call('LRANGE', key, 0, -1)
      return {list_version(items), 'list', items}
    end
    if kind == 'hash' then
      local mark = call('HMGET', key, MAP, SET)
      return {mark[1] or mark[2] or '', mark[1] and 'map' or 'set', call('HGETALL', key)}
    end
    return {'', 'wrong'}
  end

  local function read_field(key, field)
    local value = try('HGET', key, field)
    if value == false then return {'', 'none'} end
    if type(value) == 'string' then return {redis.sha1hex(value), 'value', value} end
    return {'', 'wrong'}
  end

  local function read_members(key)
    local version = call('HGET', key, MEMBERS)
    if not version then return {'', 'none'} end
    return {version, 'members', call('HGETALL', key)}
  end

  local function read_one(what, key, field)
    if what == 'value' then return read_value(key) end
    if what == 'field' then return read_field(key, field) end
    return read_members(key)
  end

  -- Return only the version: no map or membership is fetched for it.
  local function version_of(what, key, field)
    if what == 'members' then return call('HGET', key, MEMBERS) or '' end
    if what == 'field' then return read_field(key, field)[1] end
    local value = try('GET', key)
    if value == false then return '' end
    if type(value) == 'string' then return redis.sha1hex(value) end
    local mark = try('HMGET', key, MAP, SET)
    if not mark.err then return mark[1] or mark[2] or '' end
    return read_value(key)[1]
  end

  return read_one, version_of
end

-- Take `count` reads, whose arguments and keys begin at these places. Returns the entries and their
-- size in an answer, in bytes, with a little more for each text.
local function read_all(first, first_key, count)
  local read_one = readers()
  local entries, size = {}, 0
  for i = 0, count - 1 do
    local at = first + i * 3
    local entry = read_one(ARGV[at], KEYS[first_key + i], ARGV[at + 1])
    local payload = entry[3] or ''
    size = size + 128
    if type(payload) == 'string' then
      size = size + #payload
    else
      for _, item in ipairs(payload) do size = size + #item + 16 end
    end
    entries[i + 1] = entry
  end
  return entries, size
end
