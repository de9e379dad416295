-- Tells if what a turn of a run says about locks or its place still stands.
-- KEYS: 1 what the keys of locks, or of places, begin with
--       2 the run's meta  3 its run: on one server, which loses what it loses of both sides at once
-- ARGV: 1 run  2 token of the turn, 0 is of none  3 version of the run's state that it committed
--       4 drop, if it is about a run that has to have ended or to be gone
--       5 the how manieth call of the turn this is, from 1: it is marked in the run's meta as done,
--         so that clear knows whether Redis still has what was done
-- Returns 1, or 0 when a later turn was here, or Redis lost what this is about or a call before it.
local token = tonumber(ARGV[2])
if KEYS[2] then
  local meta = redis.call('HMGET', KEYS[2], 'tok', 'ver', 'fin', 'did')
  if ARGV[4] == 'drop' then
    if not meta[3] and redis.call('EXISTS', KEYS[3]) == 1 then
      return 0
    end
  elseif tonumber(meta[1]) ~= token or tonumber(meta[2] or 0) ~= tonumber(ARGV[3]) then
    return 0
  else
    local mark, before = ARGV[2] .. ':' .. ARGV[5], ARGV[2] .. ':' .. (ARGV[5] - 1)
    if meta[4] ~= mark and meta[4] ~= before and tonumber(ARGV[5]) > 1 then
      return 0
    end
    redis.call('HSET', KEYS[2], 'did', mark)
  end
end
if token > 0 then
  local last = redis.call('HGET', KEYS[1] .. 'tokens', ARGV[1])
  if last and tonumber(last) > token then
    return 0
  end
end
return 1
