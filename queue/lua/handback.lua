-- Puts a task that was taken last back to where it was.
-- KEYS: 1 active  2 lease  3 pending
-- ARGV: 1 prefix of the keys of tasks  2 msg of the task, as it was dequeued
-- Returns 1, or 0 when nobody has the task.
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
  local task = ARGV[1] .. id
  if redis.call('HGET', task, 'msg') == ARGV[2] then
    local t = redis.call('TIME')
    redis.call('LREM', KEYS[1], 1, id)
    redis.call('ZREM', KEYS[2], id)
    redis.call('HSET', task, 'state', 'pending', 'pending_since', string.format('%d%06d000', t[1], t[2]))
    redis.call('RPUSH', KEYS[3], id)
    return 1
  end
end
return 0
