-- Many claims in one statement. A row that comes back with a NULL was inserted; any other is what
-- was there before. A claim that met another one in mid-air has no row, and is made by itself.
-- `one` is 1 in every row: the planner, who takes a function's rows for a hundred, takes what is
-- left for one, and looks each key up in the index however small the table was when it planned.
WITH wanted AS (
    SELECT decode(hex, 'hex') AS key, attempt, fingerprint, params, state, owner, locked_until,
        first_sent_at, updated_at, version, saved_5xx, payment_intent_id, payment_status,
        follow_up, due_at
    FROM json_to_recordset(%(rows)s::json) AS row_of (
        one bigint, hex text, attempt bigint, fingerprint text, params text, state text,
        owner text, locked_until float8, first_sent_at float8, updated_at float8, version bigint,
        saved_5xx boolean, payment_intent_id text, payment_status text, follow_up text,
        due_at float8
    )
    WHERE one = 1
),

held AS (
    SELECT record.*
    FROM wanted JOIN key_records AS record ON record.key = wanted.key
),

claimed AS (
    INSERT INTO key_records (
        key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
        version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at
    )
    SELECT * FROM wanted WHERE key NOT IN (SELECT key FROM held)
    ON CONFLICT (key) DO NOTHING
    RETURNING key
)

SELECT
    key, attempt, fingerprint, params, state, owner, locked_until, first_sent_at, updated_at,
    version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at
FROM held
UNION ALL
SELECT
    key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
FROM claimed
