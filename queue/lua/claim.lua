-- Takes the run that has been due longest.
-- KEYS: 1 due  2 taken  3 ended
-- ARGV: 1 lease in ms  2 ms after which an end is looked back at
-- Returns {run or '', until, wait, ended}: until is the score that marks the claim as ours,
-- wait the ms until the next run of the shard is due (0: one is; -1: there is none), ended
-- the runs to look back at, which nobody else is given before the lease has passed.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local head = redis.call('ZRANGE', KEYS[1], 0, 1, 'WITHSCORES')
local run, till, following = '', 0, head[2]
if head[1] and tonumber(head[2]) <= now then
  run, till, following = head[1], now + tonumber(ARGV[1]), head[4]
  redis.call('ZADD', KEYS[1], till, run)
  redis.call('HSET', KEYS[2], run, 0)
end
local wait = -1
if following then
  wait = math.max(0, tonumber(following) - now)
end
local since = now - tonumber(ARGV[2])
local ended = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', since, 'LIMIT', 0, 100)
for _, r in ipairs(ended) do
  redis.call('ZADD', KEYS[3], since + tonumber(ARGV[1]), r)
end
return {run, till, wait, ended}
