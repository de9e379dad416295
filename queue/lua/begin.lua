-- Takes a run's fencing token and reads what a turn needs.
-- KEYS: 1 meta  2 nodes  3 in  4 out  5 fly  6 timers  7 run  8 state
-- ARGV: 1 nodes to read whole at most  2 events to read at most
--       3 ms between two looks at what is in flight  4.. keys of nodes to read anyway
-- Returns 0 when there is no such run, 1 when it has finished (what was left is removed), 2 when
-- that is so long ago that it is to be deleted, the millis of when it will be, each negative if
-- it also had locks, else
-- {now, token, version, next, run record, state record (or nil), events, timers due, out, fly entries
--  overdue (key, entry, ..), complete, nodes (key, JSON, ..), the nodes asked for (JSON or nil)}
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local record = redis.call('GET', KEYS[7])
if not record then
  return 0
end
local meta = redis.call('HMGET', KEYS[1], 'ver', 'chk', 'tok', 'fin', 'lck')
if meta[4] then
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  local expires = tonumber(redis.call('HGET', KEYS[1], 'next') or 0)
  local sign = meta[5] and -1 or 1
  if expires == 0 then
    return sign
  end
  return sign * (now < expires and expires or 2)
end
-- By the clock, and not the next number: a crash of Redis may take the last tokens back, and
-- must not give one of them to a second turn.
local token = math.max(tonumber(meta[3] or 0) + 1, t[1] * 1000000 + t[2])
local marks = {'tok', string.format('%.0f', token)}
local limit = tonumber(ARGV[2])
local events = redis.call('LRANGE', KEYS[3], 0, limit - 1)
if not meta[3] then
  -- No turn has begun before: there is nothing else to read.
  redis.call('HSET', KEYS[1], 'chk', now, unpack(marks))
  return {now, token, 0, 0, record, false, events, {}, {}, {}, 1, {}, {}}
end
local out = redis.call('LRANGE', KEYS[4], 0, -1)

-- Looking through all that is in flight costs the size of the run, hence not at every turn.
local every, overdue, looked = tonumber(ARGV[3]), {}, tonumber(meta[2] or 0)
if now - looked >= every then
  looked = now
  local fly = redis.call('HGETALL', KEYS[5])
  for i = 1, #fly, 2 do
    local expires = string.match(fly[i + 1], '^%a+|%d+|(%d+)|')
    if tonumber(expires) <= now then
      table.insert(overdue, fly[i])
      table.insert(overdue, fly[i + 1])
    end
  end
  table.insert(marks, 'chk')
  table.insert(marks, now)
end
redis.call('HSET', KEYS[1], unpack(marks))

-- When to look again if this turn commits nothing.
local following, fired = 0, {}
local timer = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
if timer[2] then
  following = tonumber(timer[2])
  if following <= now then
    fired = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', now, 'LIMIT', 0, limit)
  end
end
if redis.call('HLEN', KEYS[5]) > 0 and (following == 0 or following > looked + every) then
  following = looked + every
end

local complete, nodes, asked = 0, {}, {}
if redis.call('HLEN', KEYS[2]) <= tonumber(ARGV[1]) then
  complete = 1
  nodes = redis.call('HGETALL', KEYS[2])
elseif #ARGV > 3 then
  for first = 4, #ARGV, 500 do
    local got = redis.call('HMGET', KEYS[2], unpack(ARGV, first, math.min(first + 499, #ARGV)))
    for i = 1, math.min(500, #ARGV - first + 1) do
      table.insert(asked, got[i])
    end
  end
end
return {now, token, tonumber(meta[1] or 0), following, record, redis.call('GET', KEYS[8]), events, fired,
  out, overdue, complete, nodes, asked}
