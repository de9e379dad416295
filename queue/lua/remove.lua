-- Removes all of a run.
-- KEYS: 1 loops  2 run  3 its state  4.. the rest of it
-- Returns the state that it had, or nil.
local state = redis.call('GET', KEYS[3])
for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  redis.call('UNLINK', key) -- in the run's slot too
end
redis.call('UNLINK', unpack(KEYS))
return state
