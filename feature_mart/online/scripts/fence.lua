-- KEYS: fence; ARGV: field, epoch, token. Shuts out every writer that began before, unless a later one is there.
-- Returns: 1 if it is in place now, else 0, and the fence that was there before (or is).
local there = redis.call('HGET', KEYS[1], ARGV[1])
local own = ARGV[2] .. ':' .. ARGV[3]
if there and there ~= own and tonumber(string.match(there, '^%d+')) >= tonumber(ARGV[2]) then
  return {0, there}
end
redis.call('HDEL', KEYS[1], ARGV[1]) -- first: see swap.lua
redis.call('HSET', KEYS[1], ARGV[1], own)
return {1, there or ''}
