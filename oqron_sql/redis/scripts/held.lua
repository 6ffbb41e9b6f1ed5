-- ARGV[4...]: id, consumer. Returns whether that consumer holds a claim of it.
local record = read(ARGV[4])
return record and is_claimed(record) and record.consumer == ARGV[5] and 1 or 0
