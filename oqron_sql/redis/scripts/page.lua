-- ARGV[3...]: the member and the record time of the last document that was read ('' for none), how
-- many to skip, how many to read. Returns for each its member, record time and text, newest first.
local MEMBER, TIME = ARGV[3], tonumber(ARGV[4])
local SAVED = tonumber(MEMBER:sub(1, 16))
local SKIP, COUNT = tonumber(ARGV[5]), tonumber(ARGV[6])

-- How many documents come before the page. The one that was read last may be gone or elsewhere, so
-- it is looked for by halving.
local function start()
  if MEMBER == '' then
    return 0
  end
  local low, high = 0, redis.call('ZCARD', TIMES)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = redis.call('ZREVRANGE', TIMES, middle, middle, 'WITHSCORES')
    local time = tonumber(at[2])
    if time > TIME or (time == TIME and tonumber(at[1]:sub(1, 16)) >= SAVED) then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local first = start() + SKIP
local found = redis.call('ZREVRANGE', TIMES, first, first + COUNT - 1, 'WITHSCORES')
local reply = {}
for i = 1, #found, 2 do
  reply[#reply + 1] = found[i]
  reply[#reply + 1] = found[i + 1]
  reply[#reply + 1] = redis.call('HGET', TEXTS, found[i]:sub(17))
end
return reply
