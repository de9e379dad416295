-- Counts the slots of a pool, after one server of it said how many it has.
-- KEYS: 1 slots
-- ARGV: 1 server; '' only counts  2 its slots; 0: it takes no more  3 ms for which that counts
-- Returns the slots of all servers that have said so lately.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' and ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
elseif ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. string.format('%.0f', now + tonumber(ARGV[3])))
end
local sum = 0
local servers = redis.call('HGETALL', KEYS[1])
for i = 1, #servers, 2 do
  local slots, expires = string.match(servers[i + 1], '^(%d+)|(%d+)$')
  if tonumber(expires) > now then
    sum = sum + tonumber(slots)
  else
    redis.call('HDEL', KEYS[1], servers[i])
  end
end
return sum
