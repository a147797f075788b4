-- The object store holds a thing as it was in this version: nothing is pending, unless it has changed since.
-- KEYS: 1 the thing (hash), 2 its order (zset), 3 pending (zset)
-- ARGV: 1 member of the pending set, 2 version, "" for a thing that is not in Redis, 3 life in Redis from now on (s)
-- Gives 1 when it is settled.
if (redis.call('HGET', KEYS[1], 'version') or '') ~= ARGV[2] then return 0 end
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return 1
