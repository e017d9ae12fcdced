-- KEYS: the record, the lists to remove it from, and those to add it to. ARGV: the current owner
-- and version; owner, version, record and alarm_at; the record's score and member in the lists,
-- and how many lists to remove it from.
local held = redis.call('HMGET', KEYS[1], 'owner', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], 'owner', ARGV[3], 'version', ARGV[4], 'record', ARGV[5], 'listed',
    ARGV[4])
if ARGV[6] ~= '' then
    redis.call('HSET', KEYS[1], 'alarm_at', ARGV[6])
else
    redis.call('HDEL', KEYS[1], 'alarm_at')
end
for i = 2, #KEYS do
    if i - 1 <= tonumber(ARGV[9]) then
        redis.call('ZREM', KEYS[i], ARGV[8])
    else
        redis.call('ZADD', KEYS[i], ARGV[7], ARGV[8])
    end
end
return 1
