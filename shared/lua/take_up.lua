-- Be the one who serves a queue that nobody serves, or one more who does, until its consumer says so itself.
-- Gives 1, or 0 when more serve it by now than this worker had seen.
-- KEYS: 1 workers serving the queue (zset)
-- ARGV: 1 worker, 2 life of this word (ms), 3 how many were seen to serve it
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

if redis.call('ZCOUNT', KEYS[1], now, '+inf') > tonumber(ARGV[3]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
return 1
