-- Extends a worker's leases on deliveries of one run.
-- KEYS: 1 fly  2 run  3 meta
-- ARGV: 1 worker  2 lease in ms  3.. key, number, ..
-- Returns for each: 1 extended, 2 extended and asked to end, 0 lost, 3 lost since the run has ended or
-- was deleted, 4 extended and the run was told that the daemon is ready.
local t = redis.call('TIME')
local expires = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000) + tonumber(ARGV[2]))
local answers = {}
local over
for i = 3, #ARGV, 2 do
  local state, number, pool, worker
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry then
    state, number, pool, worker = string.match(entry, '^(%a+)|(%d+)|%d+|([^|]*)|(.*)$')
  end
  local answer = 0
  if number == ARGV[i + 1] and worker == ARGV[1] and state ~= 'sent' then
    redis.call('HSET', KEYS[1], ARGV[i], state .. '|' .. number .. '|' .. expires .. '|' .. pool .. '|' .. worker)
    answer = state == 'cancel' and 2 or state == 'ready' and 4 or 1
  elseif not entry then
    if over == nil then
      over = redis.call('EXISTS', KEYS[2]) == 0 or redis.call('HEXISTS', KEYS[3], 'fin') == 1
    end
    answer = over and 3 or 0
  end
  table.insert(answers, answer)
end
return answers
