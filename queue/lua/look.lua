-- Reads a run at one moment, with its nodes if they are few.
-- KEYS: 1 run  2 state  3 nodes  4 fly
-- ARGV: 1 how many records of nodes to read at most
-- Returns {run record (or nil), state record (or nil), number of the nodes' records, fly (key, entry, ..),
--  nodes (key, JSON, ..), none when there are more}.
local count, nodes = redis.call('HLEN', KEYS[3]), {}
if count <= tonumber(ARGV[1]) then
  nodes = redis.call('HGETALL', KEYS[3])
end
return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2]), count, redis.call('HGETALL', KEYS[4]), nodes}
