-- Changes how far an ended run is on its way to the archive, or notes that it is to be deleted once it
-- is there, if it still is what was looked at.
-- KEYS: 1 meta  2 state
-- ARGV: 1 state record that was seen  2 state record to be; '' is that it is to be deleted
-- Returns 1, or 0 when it has changed.
if redis.call('GET', KEYS[2]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '' then
  redis.call('HSET', KEYS[1], 'doom', 1)
  return 1
end
redis.call('SET', KEYS[2], ARGV[2])
return 1
