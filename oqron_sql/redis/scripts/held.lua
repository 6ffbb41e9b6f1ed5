-- ARGV[4...]: id, consumer, token or ''. Returns whether that consumer holds (that) claim of it.
local record = read(ARGV[4])
if not record or not is_claimed(record) or record.consumer ~= ARGV[5] then
  return 0
end
return (ARGV[6] == '' or record.token == ARGV[6]) and 1 or 0
