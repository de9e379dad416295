-- Commits what was decided for a CronWorkflow, if nothing has changed that it was decided from.
-- KEYS: 1 objects  2 states  3 how often what states want was done
-- ARGV: 1 name  2 version of the object, 0 for none  3 version of the state, 0 for none
--       4 state JSON, '' removes it  5 the count once what the state wants was done, 0: it wants nothing
-- Returns 1, or 0 when something has changed, or Redis lost what was done.
local function version(text)
  return text and tonumber(string.match(text, '^(%d+)|')) or 0
end
if version(redis.call('HGET', KEYS[1], ARGV[1])) ~= tonumber(ARGV[2])
  or version(redis.call('HGET', KEYS[2], ARGV[1])) ~= tonumber(ARGV[3]) then
  return 0
end
if ARGV[5] ~= '0' and redis.call('HGET', KEYS[3], ARGV[1]) ~= ARGV[5] then
  return 0
end
redis.call('HDEL', KEYS[3], ARGV[1])
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[2], ARGV[1])
else
  redis.call('HSET', KEYS[2], ARGV[1], string.format('%d|', ARGV[3] + 1) .. ARGV[4])
end
return 1
