-- KEYS[1]: the trace. ARGV[3...]: the channel, the message.

local function broadcast()
  redis.call('PUBLISH', ARGV[3], ARGV[4])
  return 1, true
end

return once(KEYS[1], broadcast)
