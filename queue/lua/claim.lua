-- Takes the runs that have been due longest.
-- KEYS: 1 due  2 taken  3 ended
-- ARGV: 1 lease in ms  2 ms after which an end is looked back at  3 runs to take at most
-- Returns {runs, until, wait, ended}: until is the score that marks the claims as ours, wait
-- the ms until the next run of the shard is due (0: one is; -1: there is none), ended the
-- runs to look back at, which nobody else is given before the lease has passed.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local till, most = now + tonumber(ARGV[1]), tonumber(ARGV[3])
local head = redis.call('ZRANGE', KEYS[1], 0, most, 'WITHSCORES')
local runs, due, taken, wait = {}, {}, {}, -1
for i = 1, #head, 2 do
  local score = tonumber(head[i + 1])
  if #runs == most or score > now then
    wait = math.max(0, score - now)
    break
  end
  table.insert(runs, head[i])
  table.insert(due, till)
  table.insert(due, head[i])
  table.insert(taken, head[i])
  table.insert(taken, 0)
end
if #runs > 0 then
  redis.call('ZADD', KEYS[1], unpack(due))
  redis.call('HSET', KEYS[2], unpack(taken))
end
local since = now - tonumber(ARGV[2])
local ended = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', since, 'LIMIT', 0, 100)
for _, r in ipairs(ended) do
  redis.call('ZADD', KEYS[3], since + tonumber(ARGV[1]), r)
end
return {runs, till, wait, ended}
