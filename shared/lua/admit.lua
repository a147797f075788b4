-- Reserve a place in a queue, or say why not. Time is Redis' own, so that no clock but one counts.
-- KEYS: 1 queue list, 2 reservations (zset), 3 workers serving the queue (zset), 4 pace (hash),
--       5 workers that serve what nobody else does (zset), 6 what they should take up (zset)
-- ARGV: 1 job id, 2 bound of the queue, 3 life of a reservation (ms), 4 member of 6 for this queue, 5 its life (ms),
--       6 channel that tells of it, 7 a wait (ms) after which others should help those who serve the queue
-- Gives {verdict, waiting, service ms, slots}; verdict is "ok", "full" or "unserved".
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local served = redis.call('ZCOUNT', KEYS[3], now, '+inf') > 0
local others = redis.call('ZCOUNT', KEYS[5], now, '+inf') > 0
if not served and not others then
  return {'unserved', 0, 0, 0}
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local waiting = redis.call('LLEN', KEYS[1]) + redis.call('ZCARD', KEYS[2])
local pace = redis.call('HMGET', KEYS[4], 'service_ms', 'slots')
local service_ms, slots = tonumber(pace[1]) or 0, tonumber(pace[2]) or 0
if waiting >= tonumber(ARGV[2]) then return {'full', waiting, service_ms, slots} end

redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3]) -- all of it has lapsed by then, if nobody else asks
if not served then
  redis.call('ZADD', KEYS[6], now + ARGV[5], ARGV[4])
  redis.call('PUBLISH', ARGV[6], ARGV[4])
elseif others and waiting * service_ms > slots * ARGV[7] then
  redis.call('ZADD', KEYS[6], now + ARGV[5], ARGV[4]) -- no hurry: they look once a second
end
return {'ok', waiting + 1, 0, 0}
