SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE key > :after
ORDER BY key
LIMIT :limit
