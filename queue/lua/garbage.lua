-- Keeps when runs are to be looked at whose artifacts are deleted.
-- KEYS: 1 due
-- ARGV: 1 how many to take, 0 for none  2 delay in ms  3 ms ahead of their time that runs are taken
--       4.. runs to look at again after the delay
-- Returns the runs that are due then, which are due again after the delay.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 4, #ARGV do
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[i])
end
if ARGV[1] == '0' then
  return {}
end
local runs = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[3], 'LIMIT', 0, ARGV[1])
for _, run in ipairs(runs) do
  redis.call('ZADD', KEYS[1], now + ARGV[2], run)
end
return runs
