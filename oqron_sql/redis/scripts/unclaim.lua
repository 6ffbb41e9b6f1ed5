-- ARGV[4]: token. ARGV[5...]: ids. They wait as if nobody had claimed them.

for i = 5, #ARGV do
  local id = ARGV[i]
  local record = read(id)
  if record and record.token == ARGV[4] and record.state == 'claimed' then
    take(id, record)
    record.token, record.consumer, record.deadline = nil, nil, nil
    record.deliveries = record.deliveries - 1
    if record.again then
      publish_all({ { id = id, delay = record.again[1], priority = record.again[2] } })
    else
      let_wait(id, record)
    end
  end
end
redis.call('PUBLISH', WAKE, '')
return 1
