-- KEYS: fence, journal, cells; ARGV: field, fence, epoch, live, previous, all ('1': write what is equal, too),
-- journal ('1': note which keys are written), then a payload for each cell, empty for none.
-- Returns: how many cells changed, how many keys came, how many went (as against the live epoch).
if is_fenced() then
  return redis.error_reply('FENCED')
end
local field, epoch, live, previous = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local writes_all, journal = ARGV[6] == '1', ARGV[7] == '1'
local changed, came, went = 0, 0, 0
local noted = {}
for number = 3, #KEYS do
  local key, payload = KEYS[number], ARGV[number + 5]
  local cell = redis.call('HGET', key, field)
  local entries = cell and entries_of(cell) or {}
  local now = counting(entries, live)
  local stored = now and now[2] or ''
  if payload ~= '' and stored == '' then
    came = came + 1
  elseif payload == '' and stored ~= '' then
    went = went + 1
  end
  if writes_all or payload ~= stored then
    if payload ~= stored then
      changed = changed + 1
    end
    if cell or payload ~= '' then
      put(key, field, keep({{epoch, payload}}, entries, live, previous))
      noted[#noted + 1] = key
    end
  elseif #entries > 0 and entries[1][1] == epoch then
    put(key, field, keep({}, entries, live, previous))
  end
end
if journal and #noted > 0 then
  redis.call('RPUSH', KEYS[2], unpack(noted))
end
return {changed, came, went}
