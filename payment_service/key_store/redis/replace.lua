local held = redis.call('HMGET', KEYS[1], 'owner', 'version')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
    return 0
end
redis.call('HSET', KEYS[1], 'owner', ARGV[3], 'version', ARGV[4], 'record', ARGV[5])
return 1
