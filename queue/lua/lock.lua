-- Does what a run has to have done about locks, and grants what can be had then.
-- KEYS: 1 what the keys of locks begin with; they are of one slot
--       2 the run's meta  3 its run: on one server, which loses what it loses of both sides at once
-- ARGV: 1 run  2 token of its turn  3 what sorts what it asks for among what others do
--       4 orders, JSON {all, drop, ops = [{o, k, h, l = [{i, n, v}]}], limits = [{i, n, v}],
--         below, values, v: the limits of all locks that begin so are these values now, or 0}:
--         o is ask, hold or free, k a key of the run, h how others call it as a holder;
--         i is a lock, n its limit, v the version of who says so, -1 for a mutex
--       5 version of the run's state that the turn committed
--       6 the how manieth call of the turn this is
-- Returns nil when a later turn was here, or Redis lost what this is about, else {answer, ..}: {run, key} is granted,
-- {run, key, lock, free, limit, lock, holders, ..} is not.
local P = KEYS[1]
local run, token, sort = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local o = cjson.decode(ARGV[4])
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if standing(KEYS, {run, ARGV[2], ARGV[5], o.drop and 'drop' or '', ARGV[6]}) == 0 then
  return nil
end

local answers, touched, order = {}, {}, {}
local function touch(lock)
  if not touched[lock] then
    touched[lock] = true
    table.insert(order, lock)
  end
end
local function read(of, key)
  local text = redis.call('HGET', P .. 'r:' .. of, key)
  return text and cjson.decode(text)
end
local function write(of, key, r)
  redis.call('HSET', P .. 'r:' .. of, key, cjson.encode(r))
end
local function limit(lock)
  local text = redis.call('HGET', P .. 'limits', lock)
  return text and tonumber(string.match(text, '^(%d+)|')) or 1
end
local function held(lock)
  return redis.call('HLEN', P .. 'h:' .. lock)
end
local function setlimit(l)
  if l.v < 0 then
    return
  end
  local old = redis.call('HGET', P .. 'limits', l.i)
  if old and tonumber(string.match(old, '|(%d+)$')) > l.v then
    return
  end
  local new = string.format('%d|%.0f', l.n, l.v)
  if new ~= old then
    redis.call('HSET', P .. 'limits', l.i, new)
    touch(l.i)
  end
end
-- elsewhere says that what waits has to wait for another lock, too.
local function elsewhere(r, lock)
  for _, i in ipairs(r.l) do
    if i ~= lock and held(i) >= limit(i) then
      return true
    end
  end
  return false
end
-- lacks is the first lock that what waits cannot have: each of those before it has a place.
-- Who holds something does not wait behind those that wait for other locks: for that, maybe.
local function lacks(of, r)
  local holds = nil
  for _, i in ipairs(r.l) do
    local n, most = held(i), limit(i)
    local rank = redis.call('ZRANK', P .. 'w:' .. i, r.m) or 0
    if n < most and n + rank >= most then
      if holds == nil then
        holds = false
        for _, text in ipairs(redis.call('HVALS', P .. 'r:' .. of)) do
          holds = holds or cjson.decode(text).s ~= 'wait'
        end
      end
      if holds then
        for _, m in ipairs(redis.call('ZRANGE', P .. 'w:' .. i, 0, rank - 1)) do
          local other, key = string.match(m, '^[^|]*|([^|]*)|(.*)$')
          local before = read(other, key)
          if before and elsewhere(before, i) then
            rank = rank - 1
          end
        end
      end
    end
    if n + rank >= most then
      return i
    end
  end
end
local function grant(of, key, r)
  for _, i in ipairs(r.l) do
    redis.call('ZREM', P .. 'w:' .. i, r.m)
    redis.call('HSET', P .. 'h:' .. i, of .. '|' .. key, r.h)
  end
  r.s = 'granted'
  write(of, key, r)
  redis.call('ZADD', P .. 'unsure', now, of .. '|' .. key)
  table.insert(answers, {of, key})
end
local function free(of, key)
  local r = read(of, key)
  redis.call('ZREM', P .. 'unsure', of .. '|' .. key)
  if not r then
    return
  end
  for _, i in ipairs(r.l) do
    redis.call('ZREM', P .. 'w:' .. i, r.m)
    redis.call('HDEL', P .. 'h:' .. i, of .. '|' .. key)
    touch(i)
  end
  redis.call('HDEL', P .. 'r:' .. of, key)
end
local function record(op)
  local r = {s = 'wait', h = op.h, l = {}}
  for _, l in ipairs(op.l) do
    table.insert(r.l, l.i)
  end
  r.m = sort .. string.format('%010.0f', redis.call('INCR', P .. 'seq')) .. '|' .. run .. '|' .. op.k
  return r
end

local asked, listed = {}, {}
for _, l in ipairs(o.limits or {}) do
  setlimit(l)
end
if o.below then
  for _, lock in ipairs(redis.call('HKEYS', P .. 'limits')) do
    if string.sub(lock, 1, #o.below) == o.below then
      setlimit({i = lock, n = o.values[string.sub(lock, #o.below + 1)] or 0, v = o.v})
    end
  end
end
for _, op in ipairs(o.ops or {}) do
  listed[op.k] = true
  local r = read(run, op.k)
  if op.o == 'free' then
    free(run, op.k)
  elseif op.o == 'hold' then
    if not r and o.all then
      -- It has started: whatever became of what was known of it, it holds these.
      r = record(op)
      for _, i in ipairs(r.l) do
        redis.call('HSET', P .. 'h:' .. i, run .. '|' .. op.k, r.h)
      end
    end
    if r and r.s == 'wait' then
      grant(run, op.k, r)
    end
    if r then
      r.s = 'held'
      write(run, op.k, r)
      redis.call('ZREM', P .. 'unsure', run .. '|' .. op.k)
    end
  else
    for _, l in ipairs(op.l) do
      setlimit(l)
    end
    if not r then
      r = record(op)
      for _, i in ipairs(r.l) do
        redis.call('ZADD', P .. 'w:' .. i, 0, r.m)
      end
      write(run, op.k, r)
    elseif r.s ~= 'wait' then
      table.insert(answers, {run, op.k})
    end
    if r.s == 'wait' then
      table.insert(asked, op.k)
    end
  end
end
if o.all or o.drop then
  for _, key in ipairs(redis.call('HKEYS', P .. 'r:' .. run)) do
    if o.drop or not listed[key] then
      free(run, key)
    end
  end
end

for _, lock in ipairs(order) do
  local room = limit(lock) - held(lock)
  if room > 0 then
    -- Further back only those can have it who hold something; see lacks.
    for _, m in ipairs(redis.call('ZRANGE', P .. 'w:' .. lock, 0, room + 63)) do
      local of, key = string.match(m, '^[^|]*|([^|]*)|(.*)$')
      local r = read(of, key)
      if not r or r.m ~= m then
        redis.call('ZREM', P .. 'w:' .. lock, m)
      elseif not lacks(of, r) then
        grant(of, key, r)
      end
    end
  end
end
for _, key in ipairs(asked) do
  local r = read(run, key)
  if r and r.s == 'wait' then
    local lock = lacks(run, r)
    if not lock then
      grant(run, key, r)
    elseif not o.all then
      local most = limit(lock)
      local answer = {run, key, lock, most - held(lock), most}
      for _, i in ipairs(r.l) do
        table.insert(answer, i)
        local holders, some = redis.call('HVALS', P .. 'h:' .. i), {}
        for n = 1, math.min(#holders, 20) do
          table.insert(some, holders[n])
        end
        table.insert(answer, some)
      end
      table.insert(answers, answer)
    end
  end
end

if redis.call('EXISTS', P .. 'r:' .. run) == 0 then
  redis.call('HDEL', P .. 'tokens', run)
  redis.call('ZREM', P .. 'seen', run)
elseif token > 0 then
  redis.call('HSET', P .. 'tokens', run, ARGV[2])
  redis.call('ZADD', P .. 'seen', now, run)
end
return answers
