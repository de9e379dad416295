-- Makes a run of what was restored.
-- KEYS: 1 lock  2 run  3 state  4 meta  5 loops  6.. what was restored
-- ARGV: 1 token of the lock  2 run record  3 state record  4 version  5 millis of its end
--       6.. keys of chunked loops
-- Returns 1, or 0 when another restores it or it is there.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
for i = 6, #KEYS do
  redis.call('PERSIST', KEYS[i])
end
for i = 6, #ARGV do
  redis.call('SADD', KEYS[5], ARGV[i])
end
redis.call('HSET', KEYS[4], 'ver', ARGV[4], 'fin', ARGV[5], 'next', 0, 'tok', 0)
redis.call('SET', KEYS[3], ARGV[3])
redis.call('SET', KEYS[2], ARGV[2])
redis.call('DEL', KEYS[1])
return 1
