-- Notes a number under a name for a while, or adds up what is noted.
-- KEYS: 1 a hash: name -> number|millis until when it counts
-- ARGV: 1 name; '' adds up  2 number; 0 takes it back  3 ms for which it counts
-- Returns the sum, or 0 when it notes something.
if ARGV[1] ~= '' and ARGV[2] == '0' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if ARGV[1] ~= '' then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. '|' .. string.format('%.0f', now + tonumber(ARGV[3])))
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  return 0
end
local sum = 0
local noted = redis.call('HGETALL', KEYS[1])
for i = 1, #noted, 2 do
  local number, expires = string.match(noted[i + 1], '^(%d+)|(%d+)$')
  if tonumber(expires) > now then
    sum = sum + tonumber(number)
  else
    redis.call('HDEL', KEYS[1], noted[i])
  end
end
return sum
