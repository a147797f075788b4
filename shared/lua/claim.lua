-- Take jobs from queues, in the order given, each with a lease and a new attempt number, until the slots are taken.
-- A job whose choices take several slots waits at the head of its queue until so many are free: nobody overtakes it.
-- Ids pass through RQ's intermediate list, where they stay until the job is marked as started.
-- KEYS: 1 leases (zset), then pairs of queue list and its intermediate list
-- ARGV: 1 free slots, 2 lease (ms), 3 prefix of RQ's job hashes, 4 all slots of the engine
-- Gives a list of {job id, attempt, flat job hash}, and 1 when more wait.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local free, all = tonumber(ARGV[1]), tonumber(ARGV[4])
local taken, more = {}, 0

for k = 2, #KEYS, 2 do
  while true do
    local id = redis.call('LINDEX', KEYS[k], 0)
    if not id then break end
    local job = ARGV[3] .. id
    if redis.call('EXISTS', job) == 0 or redis.call('ZSCORE', KEYS[1], id) then
      -- Its time in the queue ran out, or a repeated submit queued it twice and the other one runs.
      redis.call('LPOP', KEYS[k])
    else
      local width = math.min(tonumber(redis.call('HGET', job, 'width')) or 1, all)
      if width > free then
        more = 1
        break
      end
      free = free - width
      redis.call('LMOVE', KEYS[k], KEYS[k + 1], 'LEFT', 'RIGHT')
      local attempt = redis.call('HINCRBY', job, 'attempt', 1)
      redis.call('ZADD', KEYS[1], now + ARGV[2], id)
      taken[#taken + 1] = {id, attempt, redis.call('HGETALL', job)}
    end
  end
end
return {taken, more}
