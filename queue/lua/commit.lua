-- Commits a turn, all or nothing.
-- KEYS: 1 meta  2 nodes  3 in  4 out  5 fly  6 timers  7 run  8 state  9 loops
-- ARGV: 1 orders, JSON {tok, ver, events, check, finished, more, run, exp, first: number of first deliveries,
--          wipe: [key of ours], logs: key, forget: [key of a log], gone: [key of a node], loops: [key of ours],
--          fired: [member], timers: [[member, millis; 0 removes]],
--          drop: [[number, key]], send: [[number, queue, key]], cancel: {p, m, spare} or none,
--          late: {p, m, keys} or none, end: [key],
--          locks: JSON or none, locked: whether it ever had some}
--       2 state JSON  3.. nodes: key, JSON, ..
-- Returns 0 when the run has gone on without us, else {version, next, out}: next is the
-- millis of the next turn, 0 for none, and out all that is to be sent.
local o = cjson.decode(ARGV[1])
local meta = redis.call('HMGET', KEYS[1], 'tok', 'ver', 'next', 'chk')
if tonumber(meta[1]) ~= o.tok then
  return 0
end
local version = tonumber(meta[2] or 0)
if version == o.ver + 1 then
  -- One token commits a version once: this is our own commit, whose answer was lost.
  return {o.ver + 1, tonumber(meta[3]), redis.call('LRANGE', KEYS[4], 0, -1)}
end
if version ~= o.ver then
  return 0
end
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, d in ipairs(o.drop or {}) do
  -- Since begin.lua found it lost, it may have been reported, or its worker come back: then
  -- what the turn decided is wrong.
  local entry = redis.call('HGET', KEYS[5], d[2])
  if not entry then
    return 0
  end
  local state, number, expires = string.match(entry, '^(%a+)|(%d+)|(%d+)|')
  if tonumber(number) ~= d[1] or (state ~= 'sent' and tonumber(expires) > now) then
    return 0
  end
end

for _, key in ipairs(o.wipe or {}) do
  redis.call('DEL', key)
  redis.call('SREM', KEYS[9], key)
end
for _, key in ipairs(o.forget or {}) do
  redis.call('DEL', key)
  redis.call('SREM', o.logs, key)
end
for first = 3, #ARGV, 1000 do
  redis.call('HSET', KEYS[2], unpack(ARGV, first, math.min(first + 999, #ARGV)))
end
for _, key in ipairs(o.gone or {}) do
  redis.call('HDEL', KEYS[2], key)
end
for _, key in ipairs(o.loops or {}) do
  redis.call('SADD', KEYS[9], key)
end
redis.call('SET', KEYS[8], string.format('%.0f ', o.ver + 1) .. ARGV[2])
redis.call('PUBLISH', 'run:' .. o.run, o.ver + 1)

if o.finished then
  if o.locked then
    redis.call('HSET', KEYS[1], 'lck', 1)
  end
  local expires = string.format('%.0f', o.exp or 0)
  redis.call('HSET', KEYS[1], 'ver', o.ver + 1, 'fin', now, 'next', expires)
  redis.call('DEL', KEYS[3], KEYS[4], KEYS[5], KEYS[6])
  return {o.ver + 1, tonumber(expires), {}}
end

if o.events > 0 then
  redis.call('LTRIM', KEYS[3], o.events, -1)
end
for _, member in ipairs(o.fired or {}) do
  redis.call('ZREM', KEYS[6], member)
end
for _, timer in ipairs(o.timers or {}) do
  if timer[2] > 0 then
    redis.call('ZADD', KEYS[6], timer[2], timer[1])
  else
    redis.call('ZREM', KEYS[6], timer[1])
  end
end

for _, d in ipairs(o.drop or {}) do
  redis.call('HDEL', KEYS[5], d[2])
end
local function cancel(key, entry, as)
  -- What a worker holds it ends itself, on renewal; what nobody has started ends here.
  local state, rest = string.match(entry, '^(%a+)(|.*)$')
  if state == 'held' or state == 'ready' then
    redis.call('HSET', KEYS[5], key, 'cancel' .. rest)
  elseif state == 'sent' then
    redis.call('HDEL', KEYS[5], key)
    redis.call('RPUSH', KEYS[3], cjson.encode({k = 'result', n = key, r = {p = as.p, m = as.m}}))
  end
end
local function spared(key)
  return o.cancel.spare and (string.sub(key, -8) == '/!onExit' or string.find(key, '/!onExit/', 1, true))
end
if o.cancel then
  local fly = redis.call('HGETALL', KEYS[5])
  for i = 1, #fly, 2 do
    if not spared(fly[i]) then
      cancel(fly[i], fly[i + 1], o.cancel)
    end
  end
end
for _, key in ipairs(o.late and o.late.keys or {}) do
  local entry = redis.call('HGET', KEYS[5], key)
  if entry then
    cancel(key, entry, o.late)
  end
end
for _, key in ipairs(o['end'] or {}) do
  local entry = redis.call('HGET', KEYS[5], key)
  local state, rest = string.match(entry or '', '^(%a+)(|.*)$')
  if state == 'held' or state == 'ready' then
    redis.call('HSET', KEYS[5], key, 'cancel' .. rest)
  elseif state == 'sent' then
    redis.call('HDEL', KEYS[5], key)
  end
end
local flying = false
for _, s in ipairs(o.send or {}) do
  local number, wanted = string.format('%.0f', s[1]), true
  if s[1] > o.first then
    -- Since begin.lua found it lost, it may have been reported, or its worker come back.
    local entry = redis.call('HGET', KEYS[5], s[3])
    wanted = false
    if entry then
      local state, last, expires = string.match(entry, '^(%a+)|(%d+)|(%d+)|')
      wanted = tonumber(last) == s[1] - 1 and (state == 'sent' or tonumber(expires) <= now)
    end
  end
  if wanted then
    flying = true
    redis.call('HSET', KEYS[5], s[3], 'sent|' .. number .. '|' ..
      string.format('%.0f', now + o.check) .. '|' .. s[2] .. '|')
    redis.call('RPUSH', KEYS[4], number .. '|' .. s[2] .. '|' .. s[3])
  end
end

if o.locks then
  redis.call('RPUSH', KEYS[4], o.locks)
end

local following = 0
local timer = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
if timer[2] then
  following = tonumber(timer[2])
end
local look = tonumber(meta[4]) + o.check
if (following == 0 or following > look) and (flying or redis.call('HLEN', KEYS[5]) > 0) then
  following = look
end
if following == 0 or following > now + o.check then
  -- Redis may lose this commit after others were told of it: look once more before long.
  following = now + o.check
end
if o.more or redis.call('LLEN', KEYS[3]) > 0 then
  following = now
end
redis.call('HSET', KEYS[1], 'ver', o.ver + 1, 'next', string.format('%.0f', following))
return {o.ver + 1, following, redis.call('LRANGE', KEYS[4], 0, -1)}
