UPDATE key_records
SET
    attempt = :attempt,
    fingerprint = :fingerprint,
    params = :params,
    state = :state,
    owner = :owner,
    locked_until = :locked_until,
    first_sent_at = :first_sent_at,
    updated_at = :updated_at,
    version = :version,
    saved_5xx = :saved_5xx,
    payment_intent_id = :payment_intent_id,
    payment_status = :payment_status,
    follow_up = :follow_up,
    due_at = :due_at,
    alarm_at = :alarm_at,
    list_client = :list_client,
    listed_version = :version
WHERE key = :key AND owner = :current_owner AND version = :current_version
