-- Reads what a worker that holds a chunk needs beside its record.
-- KEYS: 1 nodes  2 packed records  3 hosts
-- ARGV: 1 key of the loop's node  2 key of its call's record  3, 4 first and last byte of the
--       chunk's records  5 the worker's host
-- Returns {loop JSON, call JSON, records, position of the host, 0 if there are too many}, or 0
-- when there is no such loop.
local loop, call = unpack(redis.call('HMGET', KEYS[1], ARGV[1], ARGV[2]))
if not loop or not call then
  return 0
end
local at = redis.call('HGET', KEYS[3], ARGV[5])
if not at then
  at = redis.call('HLEN', KEYS[3]) + 1
  if at > 255 then
    at = 0
  else
    redis.call('HSET', KEYS[3], ARGV[5], at)
  end
end
return {loop, call, redis.call('GETRANGE', KEYS[2], ARGV[3], ARGV[4]), tonumber(at)}
