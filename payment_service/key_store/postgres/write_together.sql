-- Many claims and replacements in one statement: one transaction, one commit. `done` in a returned
-- row says whether it belongs to a claim or a replacement. A write without a row must run alone.
--
-- Claims: a returned row with NULLs was inserted; any other row existed before. A claim that lost
-- a race to a concurrent insert has no row.
--
-- Replacements: locked rows are skipped. A lock then delays only its own order, and two of these
-- statements cannot deadlock on replacements.
--
-- All parts use one snapshot of the table: a row claimed here is not replaced here, and no row is
-- written twice.
--
-- `one` is 1 in every row. The planner estimates a function at a hundred rows, and the filter at
-- one, so it looks up each key in the index even if the table was small when it planned.
WITH wanted AS (
    SELECT decode(hex, 'hex') AS key, attempt, fingerprint, params, state, owner, locked_until,
        first_sent_at, updated_at, version, saved_5xx, payment_intent_id, payment_status,
        follow_up, due_at, alarm_at, list_client, version AS listed_version
    FROM json_to_recordset(%(claims)s::json) AS row_of (
        one bigint, hex text, attempt bigint, fingerprint text, params text, state text,
        owner text, locked_until float8, first_sent_at float8, updated_at float8, version bigint,
        saved_5xx boolean, payment_intent_id text, payment_status text, follow_up text,
        due_at float8, alarm_at float8, list_client text
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
        version, saved_5xx, payment_intent_id, payment_status, follow_up, due_at,
        alarm_at, list_client, listed_version
    )
    SELECT * FROM wanted WHERE key NOT IN (SELECT key FROM held)
    ON CONFLICT (key) DO NOTHING
    RETURNING key
),

newer AS (
    SELECT decode(hex, 'hex') AS key, attempt, fingerprint, params, state, owner, locked_until,
        first_sent_at, updated_at, version, saved_5xx, payment_intent_id, payment_status,
        follow_up, due_at, alarm_at, list_client, current_owner, current_version
    FROM json_to_recordset(%(replacements)s::json) AS row_of (
        one bigint, hex text, attempt bigint, fingerprint text, params text, state text,
        owner text, locked_until float8, first_sent_at float8, updated_at float8, version bigint,
        saved_5xx boolean, payment_intent_id text, payment_status text, follow_up text,
        due_at float8, alarm_at float8, list_client text, current_owner text,
        current_version bigint
    )
    WHERE one = 1
),

free AS (
    SELECT newer.*
    FROM newer JOIN key_records AS record ON record.key = newer.key
    WHERE record.owner = newer.current_owner AND record.version = newer.current_version
    FOR UPDATE OF record SKIP LOCKED
),

replaced AS (
    UPDATE key_records AS record
    SET
        attempt = free.attempt,
        fingerprint = free.fingerprint,
        params = free.params,
        state = free.state,
        owner = free.owner,
        locked_until = free.locked_until,
        first_sent_at = free.first_sent_at,
        updated_at = free.updated_at,
        version = free.version,
        saved_5xx = free.saved_5xx,
        payment_intent_id = free.payment_intent_id,
        payment_status = free.payment_status,
        follow_up = free.follow_up,
        due_at = free.due_at,
        alarm_at = free.alarm_at,
        list_client = free.list_client,
        listed_version = free.version
    FROM free
    WHERE
        record.key = free.key
        AND record.owner = free.current_owner AND record.version = free.current_version
    RETURNING record.key
)

SELECT
    'claims' AS done, key, attempt, fingerprint, params, state, owner, locked_until,
    first_sent_at, updated_at, version, saved_5xx, payment_intent_id, payment_status, follow_up,
    due_at, alarm_at
FROM held
UNION ALL
SELECT
    'claims', key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL
FROM claimed
UNION ALL
SELECT
    'replacements', key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NULL, NULL, NULL
FROM replaced
