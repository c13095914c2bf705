-- KEYS: fence, cells; ARGV: field, fence, epoch, live, previous. Cells that this epoch has not written get no value in it.
if is_fenced() then
  return redis.error_reply('FENCED')
end
local field, epoch, live, previous = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local went = 0
for number = 2, #KEYS do
  local cell = redis.call('HGET', KEYS[number], field)
  if cell then
    local entries = entries_of(cell)
    if entries[1][1] ~= epoch then
      local now = counting(entries, live)
      if now and now[2] ~= '' then
        went = went + 1
      end
      put(KEYS[number], field, keep({{epoch, ''}}, entries, live, previous))
    end
  end
end
return went
