-- Delete something stored. What is left says so, until the object store has forgotten it too: a writer that has read
-- it before must not bring it back.
-- KEYS: 1 the thing (hash), 2 its order (zset), 3 pending (zset)
-- ARGV: 1 member of the pending set
local t = redis.call('TIME')
local version = (tonumber(redis.call('HGET', KEYS[1], 'version')) or 0) + 1
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'deleted', 1, 'version', version)
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
