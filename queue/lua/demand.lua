-- Observes a queue.
-- KEYS: 1 pending  2 active  3 retry
-- ARGV: 1 prefix of the keys of tasks
-- Returns {ready, running, ms that the oldest ready task has waited; -1 when unknown}.
local t = redis.call('TIME')
local oldest = -1
local id = redis.call('LINDEX', KEYS[1], -1)
if id then
  local since = redis.call('HGET', ARGV[1] .. id, 'pending_since')
  if since then
    oldest = math.max(0, t[1] * 1000 + math.floor(t[2] / 1000) - math.floor(tonumber(since) / 1000000))
  end
end
return {redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[3]), redis.call('LLEN', KEYS[2]), oldest}
