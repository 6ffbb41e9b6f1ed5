-- ARGV[3...]: owner, time to live in microseconds. Returns whether the owner has it.
if held_by() ~= OWNER then
  return 0
end
keep_until(NOW + ARGV[4])
return 1
