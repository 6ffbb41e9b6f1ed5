-- ARGV[3...]: id, what was read of it ('' for nothing), the new text, its record time or ''.
-- Returns 1 and '' if it was written, or 0 and what is there now.
local ID, SEEN, TEXT, TIME = ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local function swap()
  local held = redis.call('HGET', TEXTS, ID)
  if (held or '') ~= SEEN then
    return { 0, held or '' }
  end
  write(ID, held, TEXT, TIME)
  return { 1, '' }, true
end

return once(TRACE, swap)
