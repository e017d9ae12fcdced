-- Partial, so that the first start after the upgrade reads the table once and sorts nothing: the
-- rows of earlier releases join the index when they are written.
CREATE INDEX IF NOT EXISTS key_records_by_client ON key_records (
    list_client,
    (CASE
        WHEN state <> 'created' THEN state
        WHEN payment_status IN (
            'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
            'requires_capture', 'succeeded', 'canceled'
        ) THEN payment_status
        ELSE 'other'
    END COLLATE "C"),
    updated_at
) WHERE list_client IS NOT NULL;

CREATE INDEX IF NOT EXISTS key_records_by_mode ON key_records (
    left(list_client, 5),
    (CASE
        WHEN state <> 'created' THEN state
        WHEN payment_status IN (
            'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
            'requires_capture', 'succeeded', 'canceled'
        ) THEN payment_status
        ELSE 'other'
    END COLLATE "C"),
    updated_at
) WHERE list_client IS NOT NULL;

CREATE INDEX IF NOT EXISTS key_records_alarm ON key_records (left(list_client, 5), updated_at)
WHERE alarm_at IS NOT NULL;

CREATE INDEX IF NOT EXISTS key_records_unlisted ON key_records (key)
WHERE listed_version IS DISTINCT FROM version
