-- The ids of one queue. Every id has a record, and is a member of exactly one of four sets:
--   waiting      by its place
--   handed_back  by its place; these come first
--   delayed      by the instant when it falls due
--   claimed      by its deadline
-- Those that wait are in `ranked` too, by priority. A member begins with the instant of the
-- publication, which no other id of the queue has: equal scores stand in that order.
local IDS, PAUSED, LAST, TRACE = KEYS[1], KEYS[7], KEYS[8], KEYS[9]
local SETS = { waiting = KEYS[2], handed_back = KEYS[3], delayed = KEYS[5], claimed = KEYS[6] }
local RANKED = KEYS[4]
local WAKE = ARGV[3]

local function read(id)
  local record = redis.call('HGET', IDS, id)
  return record and cmsgpack.unpack(record)
end

local function member_of(id, record)
  return string.format('%016.0f', record.at) .. id
end

local function id_of(member)
  return member:sub(17)
end

local function rank_of(id, record)
  local head = record.handed_back and '0' or '1'
  return head .. string.format('%018.0f', record.place) .. member_of(id, record)
end

local function member_ranked(rank)
  return rank:sub(20)
end

local function waits(record)
  return record.state == 'waiting' or record.state == 'handed_back'
end

-- Removing comes before adding in every script: a server that is full lets a script add once it
-- has changed something, and refuses one that begins by adding.
local function take(id, record)
  redis.call('ZREM', SETS[record.state], member_of(id, record))
  if waits(record) then
    redis.call('ZREM', RANKED, rank_of(id, record))
  end
end

local function put(id, record, state, score)
  record.state = state
  redis.call('ZADD', SETS[state], score, member_of(id, record))
  if waits(record) then
    redis.call('ZADD', RANKED, record.priority, rank_of(id, record))
  end
  redis.call('HSET', IDS, id, cmsgpack.pack(record))
end

local function let_wait(id, record)
  put(id, record, record.handed_back and 'handed_back' or 'waiting', record.place)
end

-- Claimed, and the deadline has not passed.
local function is_claimed(record)
  return record.state == 'claimed' and record.deadline > NOW
end

-- Whether an id that came with a token, or with '', may be changed: 1, or -1 if somebody else
-- has claimed it, or 0 if nobody has.
local function may_change(record, token)
  if token == '' or record.token == token then
    return 1
  end
  return is_claimed(record) and -1 or 0
end

local function publish_all(messages)
  if #messages == 0 then
    return
  end
  local last = tonumber(redis.call('GET', LAST) or 0)
  for _, message in ipairs(messages) do
    last = math.max(NOW, last + 1)
    local place = last + message.delay
    local record = { at = last, place = place, priority = message.priority, deliveries = 0 }
    if message.delay > 0 then
      put(message.id, record, 'delayed', place)
    else
      let_wait(message.id, record)
    end
  end
  redis.call('SET', LAST, string.format('%.0f', last))
  redis.call('PUBLISH', WAKE, '')
end

-- Let wait what fell due and what was not acknowledged in time; return how many.
local function promote(limit)
  local moved = 0
  for _, state in ipairs({ 'delayed', 'claimed' }) do
    local due = redis.call('ZRANGEBYSCORE', SETS[state], '-inf', NOW, 'LIMIT', 0, limit - moved)
    for _, member in ipairs(due) do
      local id = id_of(member)
      local record = read(id)
      take(id, record)
      let_wait(id, record)
    end
    moved = moved + #due
  end
  return moved
end

-- Microseconds until the next id falls due or is no longer claimed; -1 if there is none.
local function next_change()
  local first = -1
  for _, state in ipairs({ 'delayed', 'claimed' }) do
    local found = redis.call('ZRANGE', SETS[state], 0, 0, 'WITHSCORES')
    if found[2] then
      local left = math.max(found[2] - NOW, 0)
      first = first < 0 and left or math.min(first, left)
    end
  end
  return first
end
