-- KEYS: fence; ARGV: field, fence, epoch. Notes that an epoch has been written wholly in this lane.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return redis.error_reply('FENCED')
end
redis.call('HSET', KEYS[1], 'written:' .. ARGV[1], ARGV[3])
return 1
