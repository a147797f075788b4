-- What a job waits for that has not begun: its place in the queue, and what those who serve it are doing meanwhile.
-- KEYS: 1 queue list, 2 workers serving the queue (zset)
-- ARGV: 1 job id, 2 prefix of the workers' records
-- Gives {jobs before it, or -1 when it is not in the queue, text}. The text is empty when a worker takes jobs.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)

local doing = ''
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')) do
  local record = redis.call('GET', ARGV[2] .. worker)
  if record then
    doing = cjson.decode(record).doing or ''
    if doing == '' then break end
  end
end
return {redis.call('LPOS', KEYS[1], ARGV[1]) or -1, doing}
