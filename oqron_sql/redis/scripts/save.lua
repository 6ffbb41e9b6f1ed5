-- ARGV[3]: whether only if absent. ARGV[4...]: for each its id, text and record time or ''.
-- Returns how many were saved.
local IF_ABSENT = ARGV[3] == '1'

local function save()
  local saved = 0
  for i = 4, #ARGV, 3 do
    local held = redis.call('HGET', TEXTS, ARGV[i])
    if not (held and IF_ABSENT) then
      write(ARGV[i], held, ARGV[i + 1], ARGV[i + 2])
      saved = saved + 1
    end
  end
  return saved, saved > 0
end

return once(TRACE, save)
