-- ARGV[4...]: for each its id, its token or '', a delay in microseconds, and a priority or ''.
-- Returns 1 for each that was handed back, 0 for one that was not claimed, -1 for a lost claim.

local function nack_one(id, token, delay, priority)
  local record = read(id)
  if not record then
    return 0
  end
  local allowed = may_change(record, token)
  if allowed < 1 then
    return allowed
  end
  if not is_claimed(record) then
    return 0
  end
  take(id, record)
  record.token, record.consumer, record.deadline, record.again = nil, nil, nil, nil
  record.priority = tonumber(priority) or record.priority
  record.handed_back = delay == 0
  if delay == 0 then
    let_wait(id, record)
  else
    record.place = NOW + delay
    put(id, record, 'delayed', record.place)
  end
  return 1
end

local function nack()
  local reply, changed = {}, false
  for i = 4, #ARGV, 4 do
    local done = nack_one(ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2]), ARGV[i + 3])
    reply[#reply + 1] = done
    changed = changed or done == 1
  end
  if changed then
    redis.call('PUBLISH', WAKE, '')
  end
  return reply, changed
end

return once(TRACE, nack)
