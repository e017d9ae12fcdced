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
