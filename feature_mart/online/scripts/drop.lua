-- KEYS: fence, cells; ARGV: field, fence. Removes a view's cells whatever they hold.
if is_fenced() then
  return redis.error_reply('FENCED')
end
for number = 2, #KEYS do
  redis.call('HDEL', KEYS[number], ARGV[1])
end
return #KEYS - 1
