-- Counts a run among those that ended alike, and finds those that are too many.
-- KEYS: 1 kept
-- ARGV: 1 run  2 millis of its end  3 how many to keep
-- Returns the runs to delete, the oldest first.
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if over <= 0 then
  return {}
end
return redis.call('ZRANGE', KEYS[1], 0, math.min(over, 100) - 1)
