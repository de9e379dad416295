-- Takes over records of a chunked loop's items from another run.
-- KEYS: 1 meta  2 packed records  3 extras  4 hosts
-- ARGV: 1 token  2 version  3 first byte  4 records  5 number of extras  6.. item, extra, ..
--       then host, position, ..
-- Returns 1, or 0 when the run has gone on without us.
local meta = redis.call('HMGET', KEYS[1], 'tok', 'ver')
if tonumber(meta[1]) ~= tonumber(ARGV[1]) or tonumber(meta[2] or 0) ~= tonumber(ARGV[2]) then
  return 0
end
if #ARGV[4] > 0 then
  redis.call('SETRANGE', KEYS[2], ARGV[3], ARGV[4])
end
local hosts = 6 + 2 * tonumber(ARGV[5])
for i = 6, hosts - 1, 1000 do
  redis.call('HSET', KEYS[3], unpack(ARGV, i, math.min(i + 999, hosts - 1)))
end
for i = hosts, #ARGV, 2 do
  redis.call('HSETNX', KEYS[4], ARGV[i], ARGV[i + 1])
end
return 1
