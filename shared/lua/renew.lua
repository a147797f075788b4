-- Renew the leases of running jobs, and say which ones are no longer the caller's and which must stop.
-- A lease belongs to the attempt that holds it: whoever takes a job over raises the attempt. RQ's record of the
-- execution is renewed with it, here and not by RQ's own commands: those would bring back what has just ended.
-- KEYS: 1 leases (zset)
-- ARGV: 1 lease (ms), 2 life of RQ's record (s), 3 prefix of RQ's job hashes, 4 of cancel flags, 5 of execution
--       hashes, 6 of execution registries, 7 of started registries, then triples of job id, attempt, execution id
-- Gives {ids lost, ids cancelled}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local ttl = tonumber(ARGV[2])
local lost, cancelled = {}, {}

for i = 8, #ARGV, 3 do
  local id, execution = ARGV[i], ARGV[i + 2]
  local held = redis.call('HMGET', ARGV[3] .. id, 'attempt', 'origin')
  if held[1] == ARGV[i + 1] and redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[1], now + ARGV[1], id)
    if redis.call('EXISTS', ARGV[4] .. id) == 1 then cancelled[#cancelled + 1] = id end
    local record = ARGV[5] .. id .. ':' .. execution
    if redis.call('EXISTS', record) == 1 then
      redis.call('HSET', record, 'last_heartbeat', string.format('%.3f', now / 1000))
      redis.call('EXPIRE', record, ttl)
      redis.call('ZADD', ARGV[6] .. id, 'XX', t[1] + ttl + 60, execution)
      redis.call('EXPIRE', ARGV[6] .. id, ttl + 60)
      redis.call('ZADD', ARGV[7] .. held[2], 'XX', t[1] + ttl, id .. ':' .. execution)
    end
  else
    lost[#lost + 1] = id
  end
end
return {lost, cancelled}
