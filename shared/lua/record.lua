-- Store the final object of a response, once: the first to end it decides. One that was deleted stays deleted.
-- A writer that has been overtaken is refused: the last frame must be of its own attempt.
-- KEYS: 1 record (hash), 2 pending (zset), 3 replay log
-- ARGV: 1 final object, 2 number of its last event, 3 member of the pending set, 4 attempt, or "" to not ask
-- Gives 1 when it was stored.
if ARGV[4] ~= '' then
  local last = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
  if not last or string.match(last[1], '^%d+') ~= ARGV[4] then return 0 end
end
if redis.call('HEXISTS', KEYS[1], 'job') == 0 or redis.call('HSETNX', KEYS[1], 'response', ARGV[1]) == 0 then
  return 0
end
local t = redis.call('TIME')
redis.call('HSET', KEYS[1], 'last', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('PERSIST', KEYS[1])
redis.call('ZADD', KEYS[2], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[3])
return 1
