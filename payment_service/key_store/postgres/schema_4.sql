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
