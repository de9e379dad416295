-- Appends to a live log and drops its oldest entries beyond the bounds.
-- KEYS: 1 log  2 logs
-- ARGV: 1 data  2 bytes to keep  3 entries to keep  4 seconds to keep it
-- Returns the id of the new entry. An entry holds its end's offset since the log's start, so
-- that the sum of what is kept follows from the first and the last one.
local tail = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
local total = #ARGV[1]
if tail[1] then
  total = total + tonumber(tail[1][2][2])
end
local id = redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[3], '*', 'o', string.format('%.0f', total), 'd', ARGV[1])
local head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
while head[1] ~= id and total - tonumber(head[2][2]) + #head[2][4] > tonumber(ARGV[2]) do
  redis.call('XDEL', KEYS[1], head[1])
  head = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
end
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SADD', KEYS[2], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return id
