-- Removes from a run's out list what was sent.
-- KEYS: 1 meta  2 out
-- ARGV: 1 token  2 number of entries, from the head
-- Returns 1, or 0 when the run has gone on without us: the entries are another's to send.
if tonumber(redis.call('HGET', KEYS[1], 'tok')) ~= tonumber(ARGV[1]) then
  return 0
end
redis.call('LTRIM', KEYS[2], ARGV[2], -1)
return 1
