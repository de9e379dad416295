-- Adds an event from outside to a run.
-- KEYS: 1 run  2 in  3 meta
-- ARGV: 1 event JSON
-- Returns 1, 0 when there is no such run, -1 when it has finished.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('HEXISTS', KEYS[3], 'fin') == 1 then
  return -1
end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
