-- ARGV[4...]: strategy, limit, time to live in microseconds, token, consumer, bound.
-- Returns what became of it, microseconds until the next look is worth while (-1: unknown), how
-- many ids wait still, and for each claimed one its id and how often it was delivered.
local STRATEGY, LIMIT, TTL = ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
local TOKEN, CONSUMER, BOUND = ARGV[7], ARGV[8], tonumber(ARGV[9])

local function by_place(range)
  local found = redis.call(range, SETS.handed_back, 0, LIMIT - 1)
  if #found < LIMIT then
    local rest = redis.call(range, SETS.waiting, 0, LIMIT - #found - 1)
    for _, member in ipairs(rest) do
      found[#found + 1] = member
    end
  end
  return found
end

local function by_priority()
  local found = redis.call('ZRANGE', RANKED, 0, LIMIT - 1)
  for i, rank in ipairs(found) do
    found[i] = member_ranked(rank)
  end
  return found
end

local FIRST = {
  fifo = function() return by_place('ZRANGE') end,
  lifo = function() return by_place('ZREVRANGE') end,
  priority = by_priority,
}

local function claim()
  if redis.call('EXISTS', PAUSED) == 1 then
    return { 'paused', -1, 0 }
  end
  if promote(BOUND) == BOUND then
    return { 'more', 0, 0 } -- nobody can say what is first until all of them are where they belong
  end
  local found = FIRST[STRATEGY]()
  if #found == 0 then
    return { 'none', next_change(), 0 }
  end
  local reply = { 'claimed', 0, 0 }
  for _, member in ipairs(found) do
    local id = id_of(member)
    local record = read(id)
    take(id, record)
    record.token, record.consumer, record.deadline = TOKEN, CONSUMER, NOW + TTL
    record.deliveries, record.again = record.deliveries + 1, nil
    put(id, record, 'claimed', record.deadline)
    reply[#reply + 1] = id
    reply[#reply + 1] = record.deliveries
  end
  reply[3] = redis.call('HLEN', IDS) - redis.call('ZCARD', SETS.claimed)
    - redis.call('ZCARD', SETS.delayed)
  return reply, true
end

return once(TRACE, claim)
