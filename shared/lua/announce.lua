-- A worker says that it lives and what it serves; what other workers said too long ago is forgotten.
-- KEYS: 1 workers (zset), 2 workers serving the queue (zset), 3 the worker's record, 4 pace (hash)
-- ARGV: 1 worker, 2 life of this word (ms), 3 record, 4 "1" when it serves, 5 service time (ms), 6 slots
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[2])
if ARGV[4] == '1' then
  redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
  redis.call('HSET', KEYS[4], 'slots', ARGV[6] * redis.call('ZCARD', KEYS[2]))
  if tonumber(ARGV[5]) > 0 then redis.call('HSET', KEYS[4], 'service_ms', ARGV[5]) end -- one that has begun knows it
else
  redis.call('ZREM', KEYS[2], ARGV[1])
end
