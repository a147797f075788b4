-- Put a conversation into Redis, unless it is there by now: a new one, or one that the object store remembered.
-- KEYS: 1 conversation (hash), 2 its order (zset), 3 pending (zset)
-- ARGV: 1 member of the pending set, 2 version, 3 life (s), or "" for a new one, which the object store does not hold,
--       4 its own fields, then pairs of item id and item
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end

redis.call('HSET', KEYS[1], 'meta', ARGV[4], 'version', ARGV[2], 'next', (#ARGV - 4) / 2)
for i = 5, #ARGV, 2 do
  redis.call('HSET', KEYS[1], 'i:' .. ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], (i - 3) / 2, ARGV[i])
end
if ARGV[3] == '' then
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
else
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return 1
