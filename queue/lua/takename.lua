-- Takes over a name whose run was never created.
-- KEYS: 1 names
-- ARGV: 1 name  2 run that has it  3 run that gets it; '' frees the name
-- Returns 1, or 0 when the name belongs to another by now.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return 0
end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1
