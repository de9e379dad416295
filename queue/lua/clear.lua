-- Removes from a run's out list what was sent, and tells the run what came of it.
-- KEYS: 1 meta  2 out  3 in
-- ARGV: 1 token  2 number of entries, from the head  3.. events JSON
-- Returns 1, or 0 when the run has gone on without us: the entries are another's to send.
if tonumber(redis.call('HGET', KEYS[1], 'tok')) ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('LTRIM', KEYS[2], ARGV[2], -1)
for i = 3, #ARGV do
  redis.call('RPUSH', KEYS[3], ARGV[i])
end
return 1
