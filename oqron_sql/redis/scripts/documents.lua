-- The documents of one namespace: `texts` has each by its id, behind the instant of its first
-- saving, which no other has; `times` has that instant and the id by record time.
local TEXTS, TIMES, LAST, TRACE = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local function first_saved(held)
  if held then
    return held:sub(1, 16)
  end
  local last = math.max(NOW, tonumber(redis.call('GET', LAST) or 0) + 1)
  local instant = string.format('%016.0f', last)
  redis.call('SET', LAST, instant)
  return instant
end

-- `time` is the record time that the document states, in microseconds, or ''.
local function write(id, held, text, time)
  local saved = first_saved(held)
  redis.call('HSET', TEXTS, id, saved .. text)
  redis.call('ZADD', TIMES, time == '' and tonumber(saved) or time, saved .. id)
end

local function delete(id)
  local held = redis.call('HGET', TEXTS, id)
  if not held then
    return 0
  end
  redis.call('ZREM', TIMES, held:sub(1, 16) .. id)
  return redis.call('HDEL', TEXTS, id)
end
