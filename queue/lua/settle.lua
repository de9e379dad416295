-- Ends a turn, unless its lease has passed and somebody else took the run.
-- KEYS: 1 due  2 taken  3 ended  4 later  5 the turns' bell, if it is to be rung here
-- ARGV: 1 shard  2 rings to keep  3 run  4 until, as claim.lua returned it or as it was extended
--       5 next: millis of the next turn, 0 for none
--       6 ms within which whoever listens would not look by itself
--       7 until, as it may have been extended by a call whose answer was lost, or is under way
--       8 1 when this is no run that goes on: it waits in later
--       9 ms after which a run that got no next turn is looked back at later than others
-- Returns 1 when coordinators have to be rung for, else 0.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local score = redis.call('ZSCORE', KEYS[1], ARGV[3])
if not score or (tonumber(score) ~= tonumber(ARGV[4]) and tonumber(score) ~= tonumber(ARGV[7])) then
  return 0
end
local rung = redis.call('HGET', KEYS[2], ARGV[3]) == '1'
redis.call('HDEL', KEYS[2], ARGV[3])
local following = tonumber(ARGV[5])
if rung or (following > 0 and following < now) then
  following = now
end
if following == 0 then
  redis.call('ZREM', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[3], now + tonumber(ARGV[9]), ARGV[3])
  return 0
end
if ARGV[8] == '1' and following > now then
  redis.call('ZREM', KEYS[1], ARGV[3])
  redis.call('ZADD', KEYS[4], following, ARGV[3])
  redis.call('ZADD', KEYS[3], now, ARGV[3])
else
  redis.call('ZADD', KEYS[1], following, ARGV[3])
end
if following - now >= tonumber(ARGV[6]) then
  return 0
end
if KEYS[5] then
  if redis.call('LPUSH', KEYS[5], ARGV[1]) > tonumber(ARGV[2]) then
    redis.call('LTRIM', KEYS[5], 0, ARGV[2] - 1)
  end
end
return 1
