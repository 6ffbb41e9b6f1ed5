-- ARGV[3...]: owner, time to live in microseconds. Returns the fencing number, or false.
local holder = held_by()
if holder and holder ~= OWNER then
  return false
end
if not holder then
  local last = tonumber(redis.call('HGET', LOCK, 'fence') or 0)
  local fence = math.max(last + 1, NOW)
  redis.call('HSET', LOCK, 'owner', OWNER, 'fence', string.format('%.0f', fence))
end
keep_until(NOW + ARGV[4])
return redis.call('HGET', LOCK, 'fence')
