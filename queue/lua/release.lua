-- Gives a lease up, and has the run's next turn find the delivery lost.
-- KEYS: 1 fly  2 meta
-- ARGV: 1 key  2 number  3 worker
-- Returns 1, or 0 when the delivery is not this worker's any more.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return 0
end
local state, number, pool, worker = string.match(entry, '^(%a+)|(%d+)|%d+|([^|]*)|(.*)$')
if state == 'sent' or number ~= ARGV[2] or worker ~= ARGV[3] then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], state .. '|' .. number .. '|0|' .. pool .. '|')
redis.call('HSET', KEYS[2], 'chk', 0)
return 1
