-- ARGV[4...]: for each message its id, delay in microseconds and priority.

local function publish()
  local messages = {}
  for i = 4, #ARGV, 3 do
    local id = ARGV[i]
    local message = { id = id, delay = tonumber(ARGV[i + 1]), priority = tonumber(ARGV[i + 2]) }
    local record = read(id)
    if record and is_claimed(record) then
      record.again = { message.delay, message.priority }
      redis.call('HSET', IDS, id, cmsgpack.pack(record))
    else
      if record then
        take(id, record)
      end
      messages[#messages + 1] = message
    end
  end
  publish_all(messages)
  return 1, true
end

return once(TRACE, publish)
