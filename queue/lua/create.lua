-- Creates a run.
-- KEYS: 1 meta
-- ARGV: 1 run JSON  2 digest  3 state JSON  4 name  5 namespace
-- Returns 1, or 0 when the run exists (the submit is repeated).
if redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'digest', ARGV[2], 'state', ARGV[3],
  'name', ARGV[4], 'ns', ARGV[5], 'ver', 0, 'tok', 0, 'chk', 0)
return 1
