-- Many replacements in one statement; it returns the keys of those that were made. It waits for
-- no row that is locked: whoever holds it then holds up that order alone, and two of these
-- statements cannot wait for each other. What was skipped, or is not as expected, is tried alone.
-- `one`: see claim_together.sql.
WITH wanted AS (
    SELECT decode(hex, 'hex') AS key, attempt, fingerprint, params, state, owner, locked_until,
        first_sent_at, updated_at, version, saved_5xx, payment_intent_id, payment_status,
        follow_up, due_at, current_owner, current_version
    FROM json_to_recordset(%(rows)s::json) AS row_of (
        one bigint, hex text, attempt bigint, fingerprint text, params text, state text,
        owner text, locked_until float8, first_sent_at float8, updated_at float8, version bigint,
        saved_5xx boolean, payment_intent_id text, payment_status text, follow_up text,
        due_at float8, current_owner text, current_version bigint
    )
    WHERE one = 1
),

free AS (
    SELECT wanted.*
    FROM wanted JOIN key_records AS record ON record.key = wanted.key
    WHERE record.owner = wanted.current_owner AND record.version = wanted.current_version
    FOR UPDATE OF record SKIP LOCKED
)

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
    due_at = free.due_at
FROM free
WHERE
    record.key = free.key
    AND record.owner = free.current_owner AND record.version = free.current_version
RETURNING record.key
