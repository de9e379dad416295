-- Takes what is due in the first of several shards that has something, and begins the turn if it
-- is one run alone. One server only: claim and begin are claim.lua and begin.lua, and the run's
-- keys are made here.
-- KEYS: claim.lua's four of each shard
-- ARGV: 1-3 claim.lua's  4-6 begin.lua's
-- Returns {what claim.lua returns of each shard that was tried, what begin.lua returns: a list, or
-- 0 when no turn was begun}
local tried = {}
for k = 1, #KEYS, 4 do
  local claimed = claim({KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]}, {ARGV[1], ARGV[2], ARGV[3]})
  table.insert(tried, claimed)
  local runs = claimed[1]
  if #runs == 1 then
    local keys = {}
    for _, part in ipairs({'meta', 'nodes', 'in', 'out', 'fly', 'timers', 'run', 'state'}) do
      table.insert(keys, '{r:' .. runs[1] .. '}:' .. part)
    end
    local begun = begin(keys, {ARGV[4], ARGV[5], ARGV[6]})
    -- A number says that there is no turn to take, which costs more to say: it is asked again.
    return {tried, type(begun) == 'table' and begun or 0}
  end
  if #runs > 0 then
    break
  end
end
return {tried, 0}
