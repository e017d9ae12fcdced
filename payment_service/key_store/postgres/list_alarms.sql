SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE
    alarm_at IS NOT NULL
    AND left(list_client, 5) = %(among)s::text COLLATE "C"
    AND updated_at BETWEEN %(lowest)s::float8 AND %(updated_at)s::float8
    AND (updated_at < %(updated_at)s::float8 OR key < %(key)s::bytea)
ORDER BY updated_at DESC, key DESC
LIMIT %(limit)s::bigint
