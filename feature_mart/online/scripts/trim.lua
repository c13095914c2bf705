-- KEYS: fence, cells; ARGV: field, fence, live, previous. Leaves in each cell what those two epochs need.
if is_fenced() then
  return redis.error_reply('FENCED')
end
local field, live, previous = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local trimmed = 0
for number = 2, #KEYS do
  local cell = redis.call('HGET', KEYS[number], field)
  if cell then
    local entries = entries_of(cell)
    local kept = keep({}, entries, live, previous)
    if #kept < #entries or kept[#kept][2] == '' then
      redis.call('HDEL', KEYS[number], field) -- first: see swap.lua
      put(KEYS[number], field, kept)
      trimmed = trimmed + 1
    end
  end
end
return trimmed
