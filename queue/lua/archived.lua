-- Keeps the row of an archived run in place of the one that was there, or removes it.
-- KEYS: 1 rows  2 by creation  3 names  4 by end  5 labels
-- ARGV: 1 run  2 row JSON; '' removes it  3 millis of creation  4 millis of the end  5 name
-- Returns 1, or 0 when there was none to remove.
local function count(labels, by)
  for label, value in pairs(labels or {}) do
    local entry = label .. '=' .. value
    if redis.call('HINCRBY', KEYS[5], entry, by) <= 0 then
      redis.call('HDEL', KEYS[5], entry)
    end
  end
end
local old = redis.call('HGET', KEYS[1], ARGV[1])
if old then
  old = cjson.decode(old)
  count(old.l, -1)
  redis.call('ZREM', KEYS[3], old.r.n .. ' ' .. ARGV[1])
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('ZREM', KEYS[4], ARGV[1])
  return old and 1 or 0
end
count(cjson.decode(ARGV[2]).l, 1)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
redis.call('ZADD', KEYS[3], 0, ARGV[5] .. ' ' .. ARGV[1])
redis.call('ZADD', KEYS[4], ARGV[4], ARGV[1])
return 1
