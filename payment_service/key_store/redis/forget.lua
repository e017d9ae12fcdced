-- KEYS: the record, and the lists to remove it from. ARGV: the current owner and version, and the
-- record's member in the lists.
local held = redis.call('HMGET', KEYS[1], 'owner', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
    return 0
end
for i = 2, #KEYS do
    redis.call('ZREM', KEYS[i], ARGV[3])
end
return redis.call('DEL', KEYS[1])
