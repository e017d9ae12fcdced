-- Fails as a write would, and changes nothing: the key does not exist, and XX adds no member.
redis.call('HMGET', KEYS[1], 'owner')
return redis.call('ZADD', KEYS[1], 'XX', 0, '')
