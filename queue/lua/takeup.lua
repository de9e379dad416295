-- Has a run that has ended take turns again.
-- KEYS: 1 run  2 state  3 meta  4 in  5 out  6 fly  7 timers
-- ARGV: 1 run's name for who watches  2 version that was seen  3 state JSON  4 run record, if it changes
-- Returns its version, 0 when there is no such run any more, -1 when it has not ended, -2 when it is of
-- another version.
local meta = redis.call('HMGET', KEYS[3], 'fin', 'ver', 'doom')
if redis.call('EXISTS', KEYS[1]) == 0 or meta[3] then
  return 0
end
if not meta[1] then
  return -1
end
if meta[2] ~= ARGV[2] then
  return -2
end
local version = tonumber(meta[2]) + 1
redis.call('HDEL', KEYS[3], 'fin')
redis.call('HSET', KEYS[3], 'ver', version)
redis.call('DEL', KEYS[4], KEYS[5], KEYS[6], KEYS[7])
redis.call('SET', KEYS[2], string.format('%.0f ', version) .. ARGV[3])
if ARGV[4] ~= '' then
  redis.call('SET', KEYS[1], ARGV[4])
end
redis.call('PUBLISH', 'run:' .. ARGV[1], version)
return version
