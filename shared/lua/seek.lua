-- A worker that serves any model says that it lives, and asks which queues have jobs and nobody who serves them, or too
-- few.
-- KEYS: 1 workers that serve what nobody else does (zset), 2 what they should take up (zset)
-- ARGV: 1 worker, 2 life of its word (ms), 0 when it takes nothing more, 3 life of a member of KEYS[2] (ms),
--       4 to 7 prefixes of queue lists, reservations, those who serve, and paces, 8 a wait (ms) that is too long,
--       then members that this worker serves
-- Gives members of KEYS[2], `queue model`, each followed by how many serve it.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if tonumber(ARGV[2]) > 0 then
  redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end

-- What is served now may be left alone tomorrow, by a worker that had no time to say so.
for k = 9, #ARGV do redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[k]) end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local found = {}
for _, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local queue = string.match(member, '^%S+')
  local serving = redis.call('ZCOUNT', ARGV[6] .. queue, now, '+inf')
  local waiting = redis.call('LLEN', ARGV[4] .. queue)
  local wanted
  if serving == 0 then
    wanted = waiting > 0 or redis.call('ZCOUNT', ARGV[5] .. queue, now, '+inf') > 0
  else
    local pace = redis.call('HMGET', ARGV[7] .. queue, 'service_ms', 'slots')
    wanted = waiting * (tonumber(pace[1]) or 0) > (tonumber(pace[2]) or 0) * ARGV[8]
  end
  if wanted then
    found[#found + 1] = member
    found[#found + 1] = serving
  end
end
return found
