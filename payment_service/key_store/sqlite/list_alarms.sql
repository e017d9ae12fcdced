SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE
    alarm_at IS NOT NULL
    AND substr(list_client, 1, 5) = :among
    AND updated_at BETWEEN :lowest AND :updated_at
    AND (updated_at < :updated_at OR key < :key)
ORDER BY updated_at DESC, key DESC
LIMIT :limit
