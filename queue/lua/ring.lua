-- Says that a run needs a turn.
-- KEYS: 1 due  2 taken  3 bell
-- ARGV: 1 run  2 delay in ms: 0 is now, and rings the bell; otherwise only if not due yet
-- Returns 1 when the run's due time changed, else 0.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local delay = tonumber(ARGV[2])
if delay > 0 then
  return redis.call('ZADD', KEYS[1], 'NX', now + delay, ARGV[1])
end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then
  -- In a turn: whoever has it sees this when it settles.
  redis.call('HSET', KEYS[2], ARGV[1], 1)
  return 0
end
-- A run that is due already was rung for.
local changed = redis.call('ZADD', KEYS[1], 'LT', 'CH', now, ARGV[1])
if changed == 1 then
  redis.call('LPUSH', KEYS[3], 1)
  redis.call('LTRIM', KEYS[3], 0, 63)
end
return changed
