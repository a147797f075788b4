-- A page of a conversation's items, and whether there are more: one more than asked for is given then.
-- KEYS: 1 conversation (hash), 2 its order (zset)
-- ARGV: 1 item that the page comes after, or "", 2 items at most, 3 "asc" or "desc"
-- Gives {"ok", items}, {"gone"} (deleted), {"unknown"} (not in Redis) or {"no item"}.
local there = redis.call('HMGET', KEYS[1], 'meta', 'deleted')
if there[2] then return {'gone'} end
if not there[1] then return {'unknown'} end

local rank, range = 'ZRANK', 'ZRANGE'
if ARGV[3] == 'desc' then rank, range = 'ZREVRANK', 'ZREVRANGE' end
local first = 0
if ARGV[1] ~= '' then
  local at = redis.call(rank, KEYS[2], ARGV[1])
  if not at then return {'no item'} end
  first = at + 1
end
local fields = redis.call(range, KEYS[2], first, first + ARGV[2])
if #fields == 0 then return {'ok', {}} end
for i, id in ipairs(fields) do fields[i] = 'i:' .. id end
return {'ok', redis.call('HMGET', KEYS[1], unpack(fields))}
