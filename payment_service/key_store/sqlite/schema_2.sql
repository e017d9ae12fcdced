ALTER TABLE key_records ADD COLUMN alarm_at REAL;

ALTER TABLE key_records ADD COLUMN list_client TEXT;

ALTER TABLE key_records ADD COLUMN listed_version INTEGER;

CREATE INDEX key_records_by_client ON key_records (
    list_client,
    CASE
        WHEN state <> 'created' THEN state
        WHEN payment_status IN (
            'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
            'requires_capture', 'succeeded', 'canceled'
        ) THEN payment_status
        ELSE 'other'
    END,
    updated_at
) WHERE list_client IS NOT NULL;

CREATE INDEX key_records_by_mode ON key_records (
    substr(list_client, 1, 5),
    CASE
        WHEN state <> 'created' THEN state
        WHEN payment_status IN (
            'requires_payment_method', 'requires_confirmation', 'requires_action', 'processing',
            'requires_capture', 'succeeded', 'canceled'
        ) THEN payment_status
        ELSE 'other'
    END,
    updated_at
) WHERE list_client IS NOT NULL;

CREATE INDEX key_records_alarm ON key_records (substr(list_client, 1, 5), updated_at)
WHERE alarm_at IS NOT NULL;

CREATE INDEX key_records_unlisted ON key_records (key) WHERE listed_version IS NOT version
