-- Correct an entry of a sorted set, or remove it. Do nothing if the entry changed since it was
-- read: in a cluster, a writer adds its entry before its record.
local seen = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not seen or tonumber(seen) ~= tonumber(ARGV[2]) then
    return 0
end
if ARGV[3] == '' then
    return redis.call('ZREM', KEYS[1], ARGV[1])
end
return redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
