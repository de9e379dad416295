-- Removes what a cache has that nobody wanted for a time.
-- KEYS: 1 memos  2 when each was wanted last
-- ARGV: 1 ms  2 most of them
-- Returns {how many, how many are left}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local names = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0, ARGV[2])
if #names > 0 then
  redis.call('HDEL', KEYS[1], unpack(names))
  redis.call('ZREM', KEYS[2], unpack(names))
end
return {#names, redis.call('HLEN', KEYS[1])}
