-- Add items to a conversation. An item that is there already stays as it is, so that a repeat does no harm.
-- KEYS: 1 conversation (hash), 2 its order (zset), 3 pending (zset), 4 replay log
-- ARGV: 1 member of the pending set, 2 attempt that the last frame must be of, or "" to not ask,
--       then pairs of item id and item
-- Gives "ok", "gone" (deleted), "unknown" (not in Redis) or "fenced".
if ARGV[2] ~= '' then
  local last = redis.call('XREVRANGE', KEYS[4], '+', '-', 'COUNT', 1)[1]
  if not last or string.match(last[1], '^%d+') ~= ARGV[2] then return 'fenced' end
end
local there = redis.call('HMGET', KEYS[1], 'meta', 'deleted')
if there[2] then return 'gone' end
if not there[1] then return 'unknown' end

for i = 3, #ARGV, 2 do
  if redis.call('HSETNX', KEYS[1], 'i:' .. ARGV[i], ARGV[i + 1]) == 1 then
    redis.call('ZADD', KEYS[2], redis.call('HINCRBY', KEYS[1], 'next', 1), ARGV[i])
  end
end
local t = redis.call('TIME')
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PERSIST', KEYS[1])
redis.call('PERSIST', KEYS[2])
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
return 'ok'
