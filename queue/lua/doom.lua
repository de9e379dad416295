-- Notes that a run that has ended is about to be deleted, so that nobody takes it up again, if it
-- still is what was looked at.
-- KEYS: 1 meta
-- ARGV: 1 version that was seen; '' is that its time has to have come
-- Returns the millis of now, 0 when it is not.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local meta = redis.call('HMGET', KEYS[1], 'fin', 'ver', 'next')
local expires = tonumber(meta[3] or 0)
if not meta[1] or (ARGV[1] ~= '' and meta[2] ~= ARGV[1]) or (ARGV[1] == '' and (expires == 0 or expires > now)) then
  return 0
end
redis.call('HSET', KEYS[1], 'doom', 1)
return now
