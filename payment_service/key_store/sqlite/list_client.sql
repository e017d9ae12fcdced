SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE
    list_client = :among
    AND CASE
        WHEN state <> 'created' THEN state
        WHEN payment_status IN (
            'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
            'requires_capture', 'succeeded', 'canceled'
        ) THEN payment_status
        ELSE 'other'
    END = :status
    AND updated_at BETWEEN :lowest AND :updated_at
    AND (updated_at < :updated_at OR key < :key)
ORDER BY updated_at DESC, key DESC
LIMIT :limit
