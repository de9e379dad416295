-- Looks up what a cache has of a name, or keeps something for it, and notes that it was wanted.
-- KEYS: 1 memos  2 when each was wanted last
-- ARGV: 1 name  2 memo JSON to keep, or none
-- Returns what there is, nil: nothing, or it was given.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local memo = nil
if ARGV[2] then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
else
  memo = redis.call('HGET', KEYS[1], ARGV[1])
end
if memo or ARGV[2] then
  redis.call('ZADD', KEYS[2], now, ARGV[1])
end
return memo
