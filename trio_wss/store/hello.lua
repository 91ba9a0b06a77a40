-- The last step of a hello: check that this user may run all commands of our scripts and our link.
-- Only then write the master's name. An error in the middle of a script would leave its writes half
-- done.
-- KEYS[1] the master's name. ARGV: that name, a channel, then a key of each kind.
-- Returns the missing rights: 'COMMAND', or 'COMMAND on KEY' (or channel) if only that is refused.
-- Every example has all the arguments that its command needs: Valkey crashes if one is missing.
local CHANNEL, KEY = {}, {}   -- placeholders in the examples
local COMMANDS = {
  {'DEL', KEY}, {'EVALSHA', '0', '1', KEY}, {'EXISTS', KEY}, {'GET', KEY}, {'HDEL', KEY, 'f'},
  {'HEXISTS', KEY, 'f'}, {'HGET', KEY, 'f'}, {'HGETALL', KEY}, {'HINCRBY', KEY, 'f', '1'},
  {'HKEYS', KEY}, {'HLEN', KEY}, {'HMGET', KEY, 'f'}, {'HSET', KEY, 'f', 'v'}, {'INCRBY', KEY, '1'},
  {'LLEN', KEY}, {'LRANGE', KEY, '0', '-1'}, {'LTRIM', KEY, '0', '-1'}, {'MGET', KEY},
  {'PERSIST', KEY}, {'PEXPIRE', KEY, '1'}, {'PING'}, {'PUBLISH', CHANNEL, 'm'}, {'RPUSH', KEY, 'v'},
  {'SADD', KEY, 'm'}, {'SET', KEY, 'v', 'PX', '1'}, {'SISMEMBER', KEY, 'm'}, {'SMEMBERS', KEY},
  {'SPOP', KEY, '1'}, {'SREM', KEY, 'm'}, {'SSCAN', KEY, '0', 'COUNT', '1'}, {'SUBSCRIBE', CHANNEL}, {'TIME'}, {'TYPE', KEY}, {'UNSUBSCRIBE', CHANNEL},
  {'XADD', KEY, 'MAXLEN', '1', '1-0', 'f', 'v'}, {'XRANGE', KEY, '-', '+', 'COUNT', '1'},
  {'ZADD', KEY, 'NX', '1', 'm'}, {'ZRANGEBYSCORE', KEY, '-', '+', 'LIMIT', '0', '1'},
  {'ZREM', KEY, 'm'}, {'ZSCORE', KEY, 'm'},
}

local function may(example, key)
  local words = {}
  for i, word in ipairs(example) do
    words[i] = word == KEY and key or word == CHANNEL and ARGV[2] or word
  end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  return known and allowed   -- not known: the command was renamed here
end

local missing = {}
if redis.acl_check_cmd then   -- Redis 7 and any Valkey have it; other servers may not
  local deaf = not may({'PUBLISH', CHANNEL, 'm'}) and not may({'SUBSCRIBE', CHANNEL})
  for _, example in ipairs(COMMANDS) do
    local refused = {}
    for i = 3, #ARGV do
      if not may(example, ARGV[i]) then refused[#refused + 1] = ARGV[i] end
    end
    if #refused == #ARGV - 2 then
      local why = deaf and example[2] == CHANNEL and ' on ' .. ARGV[2] or ''
      missing[#missing + 1] = example[1] .. why
    elseif #refused > 0 then
      missing[#missing + 1] = example[1] .. ' on ' .. refused[1]
    end
  end
end
if #missing == 0 then redis.call('SET', KEYS[1], ARGV[1]) end
return missing
