-- Records how items of a chunk ended, once.
-- KEYS: 1 fly  2 in  3 packed records  4 extras
-- ARGV: 1 key  2 number  3 worker  4 bytes before the first record  5 records
--       6 1 when the delivery is over  7 event JSON  8.. item, extra, ..
-- Returns 1, or 0 when the delivery is not this worker's any more.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return 0
end
local state, number, worker = string.match(entry, '^(%a+)|(%d+)|%d+|[^|]*|(.*)$')
if state == 'sent' or number ~= ARGV[2] or worker ~= ARGV[3] then
  return 0
end
if #ARGV[5] > 0 then
  local first = redis.call('GETRANGE', KEYS[3], ARGV[4], ARGV[4])
  if first ~= '' and first ~= '\0' then
    return 1 -- our own report, whose answer was lost
  end
  redis.call('SETRANGE', KEYS[3], ARGV[4], ARGV[5])
  for i = 8, #ARGV, 1000 do
    redis.call('HSET', KEYS[4], unpack(ARGV, i, math.min(i + 999, #ARGV)))
  end
end
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('RPUSH', KEYS[2], ARGV[7])
return 1
