-- Renew the leases of running jobs, and say which ones are no longer the caller's and which must stop.
-- A lease belongs to the attempt that holds it: whoever takes a job over raises the attempt.
-- KEYS: 1 leases (zset)
-- ARGV: 1 lease (ms), 2 prefix of RQ's job hashes, 3 prefix of cancel flags, then pairs of job id and attempt
-- Gives {ids lost, ids cancelled}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lost, cancelled = {}, {}

for i = 4, #ARGV, 2 do
  local id = ARGV[i]
  if redis.call('HGET', ARGV[2] .. id, 'attempt') == ARGV[i + 1] and redis.call('ZSCORE', KEYS[1], id) then
    redis.call('ZADD', KEYS[1], now + ARGV[1], id)
    if redis.call('EXISTS', ARGV[3] .. id) == 1 then cancelled[#cancelled + 1] = id end
  else
    lost[#lost + 1] = id
  end
end
return {lost, cancelled}
