-- For each status, the first keys of its part of the index; then the records of the first of all.
WITH listed AS (
    SELECT found.key
    FROM unnest(%(statuses)s::text[]) AS status_of (status)
    CROSS JOIN LATERAL (
        SELECT key, updated_at
        FROM key_records
        WHERE
            list_client IS NOT NULL
            AND left(list_client, 5) = %(among)s::text COLLATE "C"
            AND (CASE
                WHEN state <> 'created' THEN state
                WHEN payment_status IN (
                    'requires_payment_method', 'requires_confirmation', 'requires_action',
                    'processing', 'requires_capture', 'succeeded', 'canceled'
                ) THEN payment_status
                ELSE 'other'
            END COLLATE "C") = status_of.status
            AND updated_at BETWEEN %(lowest)s::float8 AND %(updated_at)s::float8
            AND (updated_at < %(updated_at)s::float8 OR key < %(key)s::bytea)
        ORDER BY updated_at DESC, key DESC
        LIMIT %(limit)s::bigint
    ) AS found
    ORDER BY found.updated_at DESC, found.key DESC
    LIMIT %(limit)s::bigint
)

SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
FROM key_records
WHERE key = ANY (ARRAY(SELECT key FROM listed))
ORDER BY updated_at DESC, key DESC
