-- Says that a run needs a turn.
-- KEYS: 1 due  2 taken  3 ended  4 later  5 the turns' bell, if it is to be rung here
-- ARGV: 1 shard  2 rings to keep  3 run
--       4 delay in ms: 0 is now, and wants a ring; otherwise only if not due yet
-- Returns 1 when coordinators have to be rung for, else 0.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local delay = tonumber(ARGV[4])
if delay > 0 then
  redis.call('ZADD', KEYS[1], 'NX', now + delay, ARGV[3])
  return 0
end
if redis.call('HEXISTS', KEYS[2], ARGV[3]) == 1 then
  -- In a turn: whoever has it sees this when it settles.
  redis.call('HSET', KEYS[2], ARGV[3], 1)
  return 0
end
-- A run that is due already was rung for.
local changed = redis.call('ZADD', KEYS[1], 'LT', 'CH', now, ARGV[3])
if changed == 1 and KEYS[5] then
  if redis.call('LPUSH', KEYS[5], ARGV[1]) > tonumber(ARGV[2]) then
    redis.call('LTRIM', KEYS[5], 0, ARGV[2] - 1)
  end
end
return changed
