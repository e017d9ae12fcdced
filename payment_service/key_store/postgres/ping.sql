SELECT
    current_setting('transaction_read_only') = 'on',
    ARRAY(
        SELECT privilege
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS privilege
        WHERE NOT has_table_privilege('key_records', privilege)
    )
