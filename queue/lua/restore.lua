-- Writes a part of a run that is restored, unless another restores it or it is there.
-- KEYS: 1 lock  2 run  3 key
-- ARGV: 1 token of the lock  2 ms for which the lock holds on  3 ms for which the part stays
--       4 HSET or SETRANGE  5.. what follows the key
-- Returns 1, or 0 when that is so.
if redis.call('GET', KEYS[1]) ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call(ARGV[4], KEYS[3], unpack(ARGV, 5))
redis.call('PEXPIRE', KEYS[3], ARGV[3])
return 1
