-- Marks a spec that no run has, and removes it if it was marked long ago.
-- KEYS: 1 spec  2 unused
-- ARGV: 1 1 when a run has it  2 ms that it must have been marked
-- Returns 1 when it is gone, else 0.
if ARGV[1] == '1' then
  redis.call('DEL', KEYS[2])
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local since = redis.call('GET', KEYS[2])
if not since then
  redis.call('SET', KEYS[2], string.format('%.0f', now))
  return 0
end
if now - tonumber(since) < tonumber(ARGV[2]) then
  return 0
end
redis.call('DEL', KEYS[1], KEYS[2])
return 1
