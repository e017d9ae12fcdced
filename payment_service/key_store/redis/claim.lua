local held = redis.call('HMGET', KEYS[1], 'owner', 'version', 'record')
if held[3] then
    return held
end
redis.call('HSET', KEYS[1], 'owner', ARGV[1], 'version', ARGV[2], 'record', ARGV[3])
return false
