-- KEYS: records; ARGV: a field, what it must be (empty: not there), then fields and what they become (empty: gone).
local there = redis.call('HGET', KEYS[1], ARGV[1])
if (there or '') ~= ARGV[2] then
  return 0
end
-- What gives memory back is never refused for want of it, nor what follows in the same script: a full store can still be
-- cleaned.
redis.call('HDEL', KEYS[1], ARGV[1])
for number = 3, #ARGV, 2 do
  if ARGV[number + 1] == '' then
    redis.call('HDEL', KEYS[1], ARGV[number])
  else
    redis.call('HSET', KEYS[1], ARGV[number], ARGV[number + 1])
  end
end
return 1
