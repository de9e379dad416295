-- Adds an event from outside to a run.
-- KEYS: 1 run  2 in  3 meta  4 the books of locks or of places, if it is told that it was granted one
-- ARGV: 1 event JSON  2 field of what was granted it
-- Returns 1, 0 when there is no such run, -1 when it has finished, 2 when Redis lost the grant.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return 0
end
if redis.call('HEXISTS', KEYS[3], 'fin') == 1 then
  return -1
end
if KEYS[4] then
  -- lock.lua writes JSON, place.lua state|..
  local entry = redis.call('HGET', KEYS[4], ARGV[2])
  local state = entry and (string.match(entry, '^(%a+)|') or cjson.decode(entry).s)
  if not entry or state == 'wait' then
    return 2 -- it may give it to another
  end
end
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
