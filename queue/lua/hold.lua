-- Claims a delivery for a worker. One that has it already gets the same answer again: the
-- first may have been lost.
-- KEYS: 1 run  2 nodes  3 fly
-- ARGV: 1 key  2 number  3 worker  4 lease in ms
-- Returns the reason of the refusal, or {run record, node JSON, now}.
local entry = redis.call('HGET', KEYS[3], ARGV[1])
if not entry then
  if redis.call('EXISTS', KEYS[1]) == 0 then
    return 'gone'
  end
  return 'ended'
end
local state, number, expires, pool, holder = string.match(entry, '^(%a+)|(%d+)|(%d+)|([^|]*)|(.*)$')
if number ~= ARGV[2] then
  return 'superseded'
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if state ~= 'sent' and tonumber(expires) > now and holder ~= ARGV[3] then
  return 'leased'
end
if state == 'cancel' then
  return 'cancelled'
end
redis.call('HSET', KEYS[3], ARGV[1], 'held|' .. number .. '|' ..
  string.format('%.0f', now + tonumber(ARGV[4])) .. '|' .. pool .. '|' .. ARGV[3])
return {redis.call('GET', KEYS[1]), redis.call('HGET', KEYS[2], ARGV[1]), now}
