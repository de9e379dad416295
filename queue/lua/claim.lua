-- Takes the runs that have been due longest.
-- KEYS: 1 due  2 taken  3 ended  4 later
-- ARGV: 1 lease in ms  2 ms after which an end is looked back at  3 runs to take at most
-- Returns {runs, until, wait, ended}: until is the score that marks the claims as ours, wait
-- the ms until the next run of the shard is due (0: one is; -1: there is none), ended the
-- runs to look back at, which nobody else is given before the lease has passed.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local till, most = now + tonumber(ARGV[1]), tonumber(ARGV[3])

-- What was put off comes due as if it had been there all the time.
local wait = -1
local late = redis.call('ZRANGE', KEYS[4], 0, most, 'WITHSCORES')
for i = 1, #late, 2 do
  local score = tonumber(late[i + 1])
  if score > now then
    wait = score - now
    break
  end
  redis.call('ZREM', KEYS[4], late[i])
  redis.call('ZADD', KEYS[1], 'NX', score, late[i])
end

local head = redis.call('ZRANGE', KEYS[1], 0, most, 'WITHSCORES')
local runs, due, taken = {}, {}, {}
for i = 1, #head, 2 do
  local score = tonumber(head[i + 1])
  if #runs == most or score > now then
    score = math.max(0, score - now)
    if wait < 0 or score < wait then
      wait = score
    end
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
