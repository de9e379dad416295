-- Finds what nobody may know of any more: locks that were granted and not taken, and runs with
-- locks that have said nothing for long. Nobody else is told of them before as long has passed.
-- KEYS: 1 granted  2 runs
-- ARGV: 1 ms since a grant  2 ms since a run was heard of  3 most of each
-- Returns {run|key, ..}, {run, ..}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local found = {}
for n = 1, 2 do
  found[n] = redis.call('ZRANGEBYSCORE', KEYS[n], '-inf', now - tonumber(ARGV[n]), 'LIMIT', 0, ARGV[3])
  for _, member in ipairs(found[n]) do
    redis.call('ZADD', KEYS[n], now, member)
  end
end
return found
