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
