-- Records how items of a chunk ended, once.
-- KEYS: 1 fly  2 in  3 packed records  4 extras
-- ARGV: 1 key  2 number  3 worker  4 first item  5 records  6 1 when the delivery is over
--       7 event JSON  8 bytes of a record  9 1 when an item was ended as the run had asked
--       10.. item, extra, ..
-- Returns 1, or 0 when the delivery is not this worker's any more, or Redis lost that the run asked.
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if not entry then
  return 0
end
local state, number, worker = string.match(entry, '^(%a+)|(%d+)|%d+|[^|]*|(.*)$')
if state == 'sent' or number ~= ARGV[2] or worker ~= ARGV[3] then
  return 0
end
if ARGV[9] == '1' and state ~= 'cancel' then
  return 0
end
local size = tonumber(ARGV[8])
local function has(item)
  local phase = redis.call('GETRANGE', KEYS[3], item * size, item * size)
  return phase ~= '' and phase ~= '\0' and math.floor(string.byte(phase) / 32) % 2 == 0 -- not of before
end
local first = tonumber(ARGV[4])
if first > tonumber(string.match(ARGV[1], '#c(%d+)$')) and not has(first - 1) then
  return 0 -- Redis lost an earlier report: the next worker does all that has no record
end
if #ARGV[5] > 0 then
  if has(first) then
    return 1 -- our own report, whose answer was lost
  end
  redis.call('SETRANGE', KEYS[3], first * size, ARGV[5])
  for i = 10, #ARGV, 1000 do
    redis.call('HSET', KEYS[4], unpack(ARGV, i, math.min(i + 999, #ARGV)))
  end
end
if ARGV[6] == '1' then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('RPUSH', KEYS[2], ARGV[7])
return 1
