-- Makes a turn's lease last longer, unless it has passed and somebody else took the run.
-- KEYS: 1 due
-- ARGV: 1 run  2 until, as claim.lua returned it or as it was last extended
--       3 until from now on: maybe so already, by a call whose answer was lost
-- Returns 1, or 0 when the run is not ours any more.
local score = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if score ~= tonumber(ARGV[2]) and score ~= tonumber(ARGV[3]) then
  return 0
end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 1
