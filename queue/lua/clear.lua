-- Removes from a run's out list what was sent, and tells the run what came of it.
-- KEYS: 1 meta  2 out  3 in
-- ARGV: 1 token  2 number of entries, from the head
--       3 the number of calls about locks and its place, which lose their mark in the meta when Redis
--         loses them: 0 is not to look
--       4.. events JSON
-- Returns 1, 0 when the run has gone on without us: the entries are another's to send; or -1 when
-- Redis lost what was done: the entries are to be done again.
local meta = redis.call('HMGET', KEYS[1], 'tok', 'did')
if tonumber(meta[1]) ~= tonumber(ARGV[1]) then
  return 0
end
if ARGV[3] ~= '0' and meta[2] ~= ARGV[1] .. ':' .. ARGV[3] then
  return -1
end
redis.call('LTRIM', KEYS[2], ARGV[2], -1)
for i = 4, #ARGV do
  redis.call('RPUSH', KEYS[3], ARGV[i])
end
return 1
