-- Take up to N jobs from queues, in the order given, each with a lease and a new attempt number.
-- Ids pass through RQ's intermediate list, where they stay until the job is marked as started.
-- KEYS: 1 leases (zset), then pairs of queue list and its intermediate list
-- ARGV: 1 N, 2 lease (ms), 3 prefix of RQ's job hashes
-- Gives a list of {job id, attempt, flat job hash}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local wanted = tonumber(ARGV[1])
local taken = {}

for k = 2, #KEYS, 2 do
  while #taken < wanted do
    local id = redis.call('LMOVE', KEYS[k], KEYS[k + 1], 'LEFT', 'RIGHT')
    if not id then break end
    local job = ARGV[3] .. id
    if redis.call('EXISTS', job) == 0 or redis.call('ZSCORE', KEYS[1], id) then
      -- Its time in the queue ran out, or a repeated submit queued it twice and the other one runs.
      redis.call('LREM', KEYS[k + 1], -1, id)
    else
      local attempt = redis.call('HINCRBY', job, 'attempt', 1)
      redis.call('ZADD', KEYS[1], now + ARGV[2], id)
      taken[#taken + 1] = {id, attempt, redis.call('HGETALL', job)}
    end
  end
end
return taken
