-- Takes back the records of a chunked loop's items that are to run again, and marks the others
-- as those of before. To do so twice changes nothing, as long as none of them has run.
-- KEYS: 1 meta  2 packed records  3 extras
-- ARGV: 1 token  2 version  3 bytes of a record  4 first item  5 last item  6.. first, last, .. of
--       items that run again whatever became of them
-- Returns 1, or 0 when the run has gone on without us.
local meta = redis.call('HMGET', KEYS[1], 'tok', 'ver')
if tonumber(meta[1]) ~= tonumber(ARGV[1]) or tonumber(meta[2] or 0) ~= tonumber(ARGV[2]) then
  return 0
end
local size, first = tonumber(ARGV[3]), tonumber(ARGV[4])
local data = redis.call('GETRANGE', KEYS[2], first * size, (tonumber(ARGV[5]) + 1) * size - 1)
local also = {}
for i = 6, #ARGV, 2 do
  for item = tonumber(ARGV[i]), tonumber(ARGV[i + 1]) do
    also[item] = true
  end
end
local none, out = string.rep('\0', size), {}
for at = 1, #data, size do
  local item, head = first + (at - 1) / size, string.byte(data, at)
  local code = head % 16
  if (code == 1 or code == 4) and not also[item] then -- succeeded, skipped
    if math.floor(head / 32) % 2 == 0 then
      head = head + 32
    end
    out[#out + 1] = string.char(head) .. string.sub(data, at + 1, at + size - 1)
  else
    if head >= 128 then
      redis.call('HDEL', KEYS[3], string.format('%.0f', item))
    end
    out[#out + 1] = none
  end
end
if #data > 0 then
  redis.call('SETRANGE', KEYS[2], first * size, table.concat(out))
end
return 1
