-- Accepts the result of a delivery, once.
-- KEYS: 1 fly  2 in
-- ARGV: 1 key  2 number  3 worker  4 event JSON  5 1 when the step was ended as the run had asked
-- Returns 1, or 0 when the delivery is not this worker's any more, or Redis lost that the run asked.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return 0
end
local state, number, worker = string.match(entry, '^(%a+)|(%d+)|%d+|[^|]*|(.*)$')
if state == 'sent' or number ~= ARGV[2] or worker ~= ARGV[3] then
  return 0
end
if ARGV[5] == '1' and state ~= 'cancel' then
  return 0
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[4])
return 1
