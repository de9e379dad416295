-- Puts off the next look after sent deliveries that the broker still has.
-- KEYS: 1 fly
-- ARGV: 1 ms from now  2.. key, entry as it was read, new state mark (its worker field), ..
-- Returns the number of entries put off; one that has changed is left alone.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local n = 0
for i = 2, #ARGV, 3 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then
    local number, pool = string.match(ARGV[i + 1], '^sent|(%d+)|%d+|([^|]*)|')
    redis.call('HSET', KEYS[1], ARGV[i], 'sent|' .. number .. '|' ..
      string.format('%.0f', now + tonumber(ARGV[1])) .. '|' .. pool .. '|' .. ARGV[i + 2])
    n = n + 1
  end
end
return n
