-- Does what a run wants done about its place, and gives the places that there are.
-- KEYS: 1 what the keys begin with; they are of one slot, see places.go
--       2 the run's meta  3 its run: on one server, which loses what it loses of both sides at once
-- ARGV: 1 ask, hold, keep (hold, whatever became of what was known of it), free, drop (free,
--         whatever its key), limits, or nothing
--       2 run  3 token of its turn, 0 is of none  4 its key  5 its namespace
--       6 what sorts it among those that wait
--       7 limits, JSON {all, each, of: {namespace: limit}}; 0 is none
--       8 version of the run's state that the turn committed
--       9 the how manieth call of the turn this is
-- Returns nil when a later turn was here, or Redis lost what this is about, else {1 if there may be more to give, run, key, ..}:
-- those that were given one.
local P, do_ = KEYS[1], ARGV[1]
local run, token, key, space, sort = ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5], ARGV[6]
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if standing(KEYS, {run, ARGV[3], ARGV[8], do_, ARGV[9]}) == 0 then
  return nil
end
if do_ == 'limits' then
  redis.call('SET', P .. 'limits', ARGV[7])
end
local limits = cjson.decode(redis.call('GET', P .. 'limits') or '{"all":0,"each":0,"of":{}}')
local answer = {0}

local function read(of)
  local text = redis.call('HGET', P .. 'runs', of)
  if text then
    local state, where, member, k = string.match(text, '^(%a+)|([^|]*)|([^|]*|[^|]*|(.*))$')
    return {state = state, space = where, member = member, key = k}
  end
end
local function write(of, r)
  redis.call('HSET', P .. 'runs', of, r.state .. '|' .. r.space .. '|' .. r.member)
end
local function take(of, r)
  redis.call('ZREM', P .. 'w:' .. r.space, r.member)
  redis.call('SADD', P .. 'held', of)
  redis.call('SADD', P .. 'h:' .. r.space, of)
end
local function free(of, r)
  redis.call('ZREM', P .. 'w:' .. r.space, r.member)
  redis.call('SREM', P .. 'held', of)
  redis.call('SREM', P .. 'h:' .. r.space, of)
  redis.call('ZREM', P .. 'unsure', of .. '|' .. r.key)
  redis.call('ZREM', P .. 'seen', of)
  redis.call('HDEL', P .. 'runs', of)
end
-- best is the first of those that wait of whose namespaces more may go on.
local function best()
  if limits.all > 0 and redis.call('SCARD', P .. 'held') >= limits.all then
    return nil
  end
  local first = nil
  for _, s in ipairs(redis.call('SMEMBERS', P .. 'spaces')) do
    local most = limits.of[s] or limits.each
    if most == 0 or redis.call('SCARD', P .. 'h:' .. s) < most then
      local member = redis.call('ZRANGE', P .. 'w:' .. s, 0, 0)[1]
      if not member then
        redis.call('SREM', P .. 'spaces', s)
      elseif not first or member < first then
        first = member
      end
    end
  end
  return first
end

local r = run ~= '' and read(run) or nil
if r and (do_ == 'free' or do_ == 'drop' or (key ~= '' and key ~= r.key)) then
  if do_ ~= 'free' or r.key == key then
    free(run, r)
    r = nil
  end
end
if do_ == 'ask' then
  if not r then
    r = {state = 'wait', space = space, key = key, member = sort .. '|' .. run .. '|' .. key}
    redis.call('ZADD', P .. 'w:' .. space, 0, r.member)
    redis.call('SADD', P .. 'spaces', space)
    write(run, r)
  elseif r.state ~= 'wait' then
    table.insert(answer, run)
    table.insert(answer, key)
  end
elseif do_ == 'hold' or do_ == 'keep' then
  if not r and do_ == 'keep' then
    r = {space = space, key = key, member = sort .. '|' .. run .. '|' .. key}
  end
  if r then
    -- It has begun: whatever became of what was known of it, it has a place.
    r.state = 'held'
    take(run, r)
    write(run, r)
    redis.call('ZREM', P .. 'unsure', run .. '|' .. r.key)
  end
end

for i = 1, 200 do
  local member = best()
  if not member then
    break
  end
  local of = string.match(member, '^[^|]*|([^|]*)|')
  local w = read(of)
  w.state = 'granted'
  take(of, w)
  write(of, w)
  redis.call('ZADD', P .. 'unsure', now, of .. '|' .. w.key)
  redis.call('ZADD', P .. 'seen', now, of)
  table.insert(answer, of)
  table.insert(answer, w.key)
  if i == 200 then
    answer[1] = 1
  end
end

if not r then
  redis.call('HDEL', P .. 'tokens', run)
elseif token > 0 then
  redis.call('HSET', P .. 'tokens', run, ARGV[3])
  if r.state == 'held' then
    redis.call('ZADD', P .. 'seen', now, run)
  end
end
return answer
