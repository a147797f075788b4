-- Cancel a job wherever it is. One that waits is removed and gets its terminal frame here; one that runs is told.
-- A response that is stored gets its final object with that frame (see record.lua).
-- KEYS: 1 queue list, 2 job hash, 3 leases, 4 replay log, 5 live channel, 6 cancel flag, 7 cancel channel,
--       and for a response 8 its record (hash), 9 pending (zset)
-- ARGV: 1 job id, 2 encoded events of the terminal frame, 3 life of the log (s), 4 life of the flag (s),
--       and for a response 5 its final object, 6 number of its last event, 7 member of the pending set
-- Gives "queued" (removed), "running" (told) or "unknown" (never there, or over).
local id = ARGV[1]

if redis.call('LREM', KEYS[1], 0, id) > 0 then
  local attempt = redis.call('HINCRBY', KEYS[2], 'attempt', 1)
  local frame = '[' .. attempt .. ',0,' .. ARGV[2] .. ']'
  redis.call('DEL', KEYS[2])
  redis.call('XADD', KEYS[4], attempt .. '-0', 'c', frame)
  redis.call('EXPIRE', KEYS[4], ARGV[3])
  redis.call('PUBLISH', KEYS[5], frame)
  if KEYS[8] and redis.call('HEXISTS', KEYS[8], 'job') == 1
    and redis.call('HSETNX', KEYS[8], 'response', ARGV[5]) == 1 then
    local t = redis.call('TIME')
    redis.call('HSET', KEYS[8], 'last', ARGV[6])
    redis.call('HINCRBY', KEYS[8], 'version', 1)
    redis.call('PERSIST', KEYS[8])
    redis.call('ZADD', KEYS[9], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[7])
  end
  return 'queued'
end

if redis.call('ZSCORE', KEYS[3], id) then
  redis.call('SET', KEYS[6], 1, 'EX', ARGV[4])
  redis.call('PUBLISH', KEYS[7], id)
  return 'running'
end
return 'unknown'
