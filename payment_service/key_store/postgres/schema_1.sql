-- bytea, not text: an index on text follows the system's collation. An upgrade of the system can
-- change that order, and the unique index then accepts a second row.
CREATE TABLE IF NOT EXISTS key_records (
    key               bytea PRIMARY KEY,
    attempt           bigint NOT NULL,
    fingerprint       text NOT NULL,
    params            text NOT NULL,
    state             text NOT NULL,
    owner             text NOT NULL,
    locked_until      float8 NOT NULL,
    first_sent_at     float8 NOT NULL,
    updated_at        float8 NOT NULL,
    version           bigint NOT NULL,
    saved_5xx         boolean NOT NULL,
    payment_intent_id text,
    payment_status    text,
    follow_up         text NOT NULL,
    due_at            float8
);

CREATE INDEX IF NOT EXISTS key_records_due ON key_records (due_at) WHERE due_at IS NOT NULL;
