-- Reads a CronWorkflow.
-- KEYS: 1 objects  2 states
-- ARGV: 1 name
-- Returns {now, object or nil, state or nil}
local t = redis.call('TIME')
return {t[1] * 1000 + math.floor(t[2] / 1000), redis.call('HGET', KEYS[1], ARGV[1]), redis.call('HGET', KEYS[2], ARGV[1])}
