-- ARGV[3...]: ids. Returns how many there were.

local function delete_all()
  local deleted = 0
  for i = 3, #ARGV do
    deleted = deleted + delete(ARGV[i])
  end
  return deleted, deleted > 0
end

return once(TRACE, delete_all)
