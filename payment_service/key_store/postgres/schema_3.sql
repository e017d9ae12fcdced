-- Partial: the rows of earlier releases join the index when they are written, so the first start
-- after the upgrade sorts nothing. One index in each file, because building one reads the table and
-- stops the writers: between two files they get their turn.
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
