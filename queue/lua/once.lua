-- Creates a run whose id may come twice, unless it was and is gone.
-- KEYS: 1 run  2 gone
-- ARGV: 1 the run's record
-- Returns 1, or 0 when it is gone.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return 1
