-- One lock is a hash: owner and until while it is held, its fencing number, and the last release.
-- It outlives its last use by an hour: the names of a million locks are not kept for ever. The
-- number is never less than the time in microseconds, so that it rises after that hour too, and
-- after a server lost its data.
local LOCK = KEYS[1]
local OWNER = ARGV[3]
local HOUR = 3600000000

local function held_by()
  local lock = redis.call('HMGET', LOCK, 'owner', 'until')
  if lock[1] and tonumber(lock[2]) > NOW then
    return lock[1]
  end
  return nil
end

local function keep_until(instant)
  redis.call('HSET', LOCK, 'until', string.format('%.0f', instant))
  redis.call('PEXPIRE', LOCK, string.format('%.0f', (instant - NOW + HOUR) / 1000))
end
