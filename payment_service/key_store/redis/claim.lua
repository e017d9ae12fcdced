-- KEYS: the record, and the lists to add it to. ARGV: owner, version, record, alarm_at, and the
-- record's score and member in the lists.
local held = redis.call('HMGET', KEYS[1], 'owner', 'version', 'record', 'alarm_at', 'listed')
if held[3] then
    return held
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'version', ARGV[2], 'record', ARGV[3], 'listed',
    ARGV[2])
if ARGV[4] ~= '' then
    redis.call('HSET', KEYS[1], 'alarm_at', ARGV[4])
end
for i = 2, #KEYS do
    redis.call('ZADD', KEYS[i], ARGV[5], ARGV[6])
end
return false
