-- Tells a run something of a delivery that goes on.
-- KEYS: 1 fly  2 in
-- ARGV: 1 key  2 number  3 worker; both empty: whichever is under way  4 event JSON  5 ready, of a daemon that has become so
-- Returns 1, or 0 when the delivery is not this worker's any more.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return 0
end
local state, rest, number, worker = string.match(entry, '^(%a+)(|(%d+)|%d+|[^|]*|(.*))$')
if state == 'sent' or ARGV[3] ~= '' and (number ~= ARGV[2] or worker ~= ARGV[3]) then
  return 0
end
if state == 'held' and ARGV[5] == 'ready' then
  redis.call('HSET', KEYS[1], ARGV[1], 'ready' .. rest)
end
redis.call('RPUSH', KEYS[2], ARGV[4])
return 1
