-- ARGV[4]: whether a publication meanwhile is forgotten. ARGV[5...]: for each its id and its
-- token or ''. Returns 1 for each that was there, 0 where there was none, -1 for a lost claim.
local FORGET = ARGV[4] == '1'

local function ack_one(id, token, again)
  local record = read(id)
  if not record then
    return 0
  end
  local allowed = may_change(record, token)
  if allowed < 1 then
    return allowed
  end
  take(id, record)
  redis.call('HDEL', IDS, id)
  if record.again and not FORGET then
    again[#again + 1] = { id = id, delay = record.again[1], priority = record.again[2] }
  end
  return 1
end

local function ack()
  local reply, changed, again = {}, false, {}
  for i = 5, #ARGV, 2 do
    local done = ack_one(ARGV[i], ARGV[i + 1], again)
    reply[#reply + 1] = done
    changed = changed or done == 1
  end
  publish_all(again)
  return reply, changed
end

return once(TRACE, ack)
