-- Stores or removes an object under a name of its kind and namespace.
-- KEYS: 1 objects  2 counter of their versions
-- ARGV: 1 name  2 object JSON, '' removes it  3 version that it must have: 0 none yet, -1 any
-- Returns the new version; 0 when there is no such object, -1 when it has another version.
local old = redis.call('HGET', KEYS[1], ARGV[1])
local version = 0
if old then
  version = tonumber(string.match(old, '^(%d+)|'))
end
local want = tonumber(ARGV[3])
if want == -1 and version == 0 then
  return 0
end
if want >= 0 and want ~= version then
  if version == 0 then
    return 0
  end
  return -1
end
local new = redis.call('INCR', KEYS[2])
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d|', new) .. ARGV[2])
end
return new
