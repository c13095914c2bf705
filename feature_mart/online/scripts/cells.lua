-- A cell holds one value, or several of one key, each with the epoch in which it was written, newest first:
--   u32: epoch of the newest, and in the two highest bits how many older ones follow
--   for each older one: u32 epoch, u32 length of its payload
--   the payloads in the same order; an empty payload says that the key has no value from that epoch on.
local OLDER = 1073741824

local function entries_of(cell)
  local head = struct.unpack('<I4', cell)
  local older = math.floor(head / OLDER)
  local entries = {{head - older * OLDER}}
  local at, rest = 5, #cell - 4 - 8 * older
  for number = 2, older + 1 do
    local epoch, length = struct.unpack('<I4I4', cell, at)
    entries[number] = {epoch, length}
    rest = rest - length
    at = at + 8
  end
  entries[1][2] = rest
  for _, entry in ipairs(entries) do
    local length = entry[2]
    entry[2] = string.sub(cell, at, at + length - 1)
    at = at + length
  end
  return entries
end

local function cell_of(entries)
  local parts = {struct.pack('<I4', entries[1][1] + (#entries - 1) * OLDER)}
  for number = 2, #entries do
    parts[number] = struct.pack('<I4I4', entries[number][1], #entries[number][2])
  end
  for _, entry in ipairs(entries) do
    parts[#parts + 1] = entry[2]
  end
  return table.concat(parts)
end

-- The entry that counts at an epoch.
local function counting(entries, epoch)
  for _, entry in ipairs(entries) do
    if entry[1] <= epoch then
      return entry
    end
  end
end

-- Puts entries in place of a cell. Those at the end that say that there is nothing say nothing.
local function put(key, field, entries)
  while #entries > 0 and entries[#entries][2] == '' do
    entries[#entries] = nil
  end
  if #entries == 0 then
    redis.call('HDEL', key, field)
  else
    redis.call('HSET', key, field, cell_of(entries))
  end
end

-- What must be kept for readers of the live and the previous epoch, behind the entries that are there already.
local function keep(kept, entries, live, previous)
  local at_live, at_previous = counting(entries, live), counting(entries, previous)
  if at_live and at_previous and at_live ~= at_previous and at_live[2] == at_previous[2] then
    at_live = at_previous
  end
  if at_live then
    kept[#kept + 1] = at_live
  end
  if at_previous and at_previous ~= at_live then
    kept[#kept + 1] = at_previous
  end
  return kept
end

-- Whoever has not the newest fence of a lane writes nothing in it: another writer has begun since.
local function is_fenced()
  return redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2]
end
