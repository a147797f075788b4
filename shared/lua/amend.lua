-- Change a conversation: its own fields, or take an item out of it.
-- KEYS: 1 conversation (hash), 2 its order (zset), 3 pending (zset)
-- ARGV: 1 member of the pending set, 2 its new fields, or "" to keep them, 3 id of the item to take out, or ""
-- Gives "ok", "gone" (deleted), "unknown" (not in Redis) or "no item".
local there = redis.call('HMGET', KEYS[1], 'meta', 'deleted')
if there[2] then return 'gone' end
if not there[1] then return 'unknown' end

if ARGV[2] ~= '' then redis.call('HSET', KEYS[1], 'meta', ARGV[2]) end
if ARGV[3] ~= '' then
  if redis.call('HDEL', KEYS[1], 'i:' .. ARGV[3]) == 0 then return 'no item' end
  redis.call('ZREM', KEYS[2], ARGV[3])
end
local t = redis.call('TIME')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
return 'ok'
