-- Reads the record if it exists, without a write; inserts it otherwise. If another claim commits
-- in between, DO NOTHING would return no row, and a SELECT in this statement would not see the
-- other row because its snapshot is older. The dummy update waits for the other claim, locks its
-- row and returns its current values.
WITH held AS (
    SELECT
        key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
        version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
    FROM key_records
    WHERE key = %(key)s::bytea
),

claimed AS (
    INSERT INTO key_records AS record (
        key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
        version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at,
        list_client, listed_version
    )
    SELECT
        %(key)s::bytea, %(attempt)s::bigint, %(fingerprint)s::text, %(params)s::text,
        %(state)s::text, %(owner)s::text, %(locked_until)s::float8, %(first_sent_at)s::float8,
        %(updated_at)s::float8, %(version)s::bigint, %(saved_5xx)s::boolean,
        %(payment_intent_id)s::text, %(payment_status)s::text, %(follow_up)s::text,
        %(due_at)s::float8, %(alarm_at)s::float8, %(list_client)s::text, %(version)s::bigint
    WHERE NOT EXISTS (SELECT 1 FROM held)
    ON CONFLICT (key) DO UPDATE SET version = record.version
    RETURNING
        key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
        version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at, alarm_at
)

SELECT * FROM held
UNION ALL
SELECT * FROM claimed
