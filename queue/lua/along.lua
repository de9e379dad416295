-- Sends a delivery along with the commit before it, if that was ours. One server only: enqueue is
-- asynq's script.
-- KEYS: 1 meta  2.. asynq's
-- ARGV: 1 token  2 version that was committed  3.. asynq's
-- Returns 1 when it was sent, or had been, else 0.
local meta = redis.call('HMGET', KEYS[1], 'tok', 'ver')
if tonumber(meta[1]) ~= tonumber(ARGV[1]) or tonumber(meta[2]) ~= tonumber(ARGV[2]) then
  return 0
end
enqueue({unpack(KEYS, 2)}, {unpack(ARGV, 3)})
return 1
