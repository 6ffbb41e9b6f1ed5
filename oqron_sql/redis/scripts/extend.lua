-- ARGV[4...]: id, consumer, token or '', time to live in microseconds. Returns whether it was held.
local ID, CONSUMER, TOKEN, TTL = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
local record = read(ID)
if not record or not is_claimed(record) or record.consumer ~= CONSUMER then
  return 0
end
if TOKEN ~= '' and record.token ~= TOKEN then
  return 0
end
local is_sooner = NOW + TTL < record.deadline
take(ID, record)
record.deadline = NOW + TTL
put(ID, record, 'claimed', record.deadline)
if is_sooner then
  redis.call('PUBLISH', WAKE, '') -- who waits expects the old one
end
return 1
