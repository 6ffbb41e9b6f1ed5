-- ARGV[3]: owner. Returns whether the owner had it; a release that is sent again had it too.
if redis.call('HGET', LOCK, 'released') == ARGV[2] then
  return 1
end
if held_by() ~= OWNER then
  return 0
end
redis.call('HDEL', LOCK, 'owner', 'until')
redis.call('HSET', LOCK, 'released', ARGV[2])
return 1
