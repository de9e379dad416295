-- Ends a turn, unless its lease has passed and somebody else took the run.
-- KEYS: 1 due  2 taken  3 bell
-- ARGV: 1 run  2 until, as claim.lua returned it  3 next: millis of the next turn, 0 for none
--       4 ms within which whoever listens would not look by itself
-- Returns 2 when the run is due at once, 1 when it is due at next or never, 0 when it was not ours.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
local rung = redis.call('HGET', KEYS[2], ARGV[1]) == '1'
redis.call('HDEL', KEYS[2], ARGV[1])
local following = tonumber(ARGV[3])
if rung or (following > 0 and following <= now) then
  redis.call('ZADD', KEYS[1], now, ARGV[1])
  redis.call('LPUSH', KEYS[3], 1)
  redis.call('LTRIM', KEYS[3], 0, 63)
  return 2
end
if following > 0 then
  redis.call('ZADD', KEYS[1], following, ARGV[1])
  if following - now < tonumber(ARGV[4]) then
    redis.call('LPUSH', KEYS[3], 1)
    redis.call('LTRIM', KEYS[3], 0, 63)
  end
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
return 1
