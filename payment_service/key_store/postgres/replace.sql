UPDATE key_records
SET
    attempt = %(attempt)s::bigint,
    fingerprint = %(fingerprint)s::text,
    params = %(params)s::text,
    state = %(state)s::text,
    owner = %(owner)s::text,
    locked_until = %(locked_until)s::float8,
    first_sent_at = %(first_sent_at)s::float8,
    updated_at = %(updated_at)s::float8,
    version = %(version)s::bigint,
    saved_5xx = %(saved_5xx)s::boolean,
    payment_intent_id = %(payment_intent_id)s::text,
    payment_status = %(payment_status)s::text,
    follow_up = %(follow_up)s::text,
    due_at = %(due_at)s::float8,
    alarm_at = %(alarm_at)s::float8,
    list_client = %(list_client)s::text,
    listed_version = %(version)s::bigint
WHERE key = %(key)s::bytea AND owner = %(current_owner)s::text AND version = %(current_version)s::bigint
