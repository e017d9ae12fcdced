SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE
    listed_version IS DISTINCT FROM version
    AND updated_at >= %(at)s::float8
    AND (updated_at > %(at)s::float8 OR key > %(after)s::bytea)
ORDER BY updated_at, key
LIMIT %(limit)s::bigint
