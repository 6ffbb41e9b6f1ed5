-- ARGV[1]: how far a test moved the clock, in microseconds. ARGV[2]: the request's name.

local function server_time()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2] + ARGV[1]
end

local NOW = server_time()

-- A client whose reply was lost sends its request again. `act` returns the reply and whether it
-- changed anything; if so, the reply is kept where the client's next request will replace it.
local function once(trace, act)
  local kept = redis.call('GET', trace)
  if kept and kept:sub(1, #ARGV[2]) == ARGV[2] then
    return cmsgpack.unpack(kept:sub(#ARGV[2] + 1))
  end
  local reply, changed = act()
  if changed then
    redis.call('SET', trace, ARGV[2] .. cmsgpack.pack(reply), 'EX', 300)
  end
  return reply
end
