-- ARGV[3...]: the first record time to be kept, in microseconds, and how many may go at most.
-- Returns how many went.

local function prune()
  local old = redis.call('ZRANGEBYSCORE', TIMES, '-inf', '(' .. ARGV[3], 'LIMIT', 0, ARGV[4])
  for _, member in ipairs(old) do
    redis.call('ZREM', TIMES, member)
    redis.call('HDEL', TEXTS, member:sub(17))
  end
  return #old, #old > 0
end

return once(TRACE, prune)
