-- Take over jobs whose lease has lapsed: raise the attempt, so that the holder, if it still lives, is refused from
-- now on, and lease them to the caller, who decides what becomes of them. A caller that dies is reaped in turn.
-- KEYS: 1 leases (zset)
-- ARGV: 1 N at most, 2 lease (ms), 3 prefix of RQ's job hashes, 4 of its execution registries, 5 of the replay logs
-- Gives a list of {job id, attempt, flat job hash, execution ids, 1 when text has been published}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local taken = {}

for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local job = ARGV[3] .. id
  if redis.call('EXISTS', job) == 0 then
    redis.call('ZREM', KEYS[1], id)
  else
    local attempt = redis.call('HINCRBY', job, 'attempt', 1)
    redis.call('ZADD', KEYS[1], now + ARGV[2], id)
    -- The writer names the field of a frame with text `d`; once text flows, nothing but text follows.
    local last = redis.call('XREVRANGE', ARGV[5] .. id, '+', '-', 'COUNT', 1)[1]
    local seen = (last and last[2][1] == 'd') and 1 or 0
    taken[#taken + 1] = {id, attempt, redis.call('HGETALL', job), redis.call('ZRANGE', ARGV[4] .. id, 0, -1), seen}
  end
end
return taken
