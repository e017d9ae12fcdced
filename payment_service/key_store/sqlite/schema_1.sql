CREATE TABLE key_records (
    key               TEXT PRIMARY KEY NOT NULL,
    attempt           INTEGER NOT NULL,
    fingerprint       TEXT NOT NULL,
    params            TEXT NOT NULL,
    state             TEXT NOT NULL,
    owner             TEXT NOT NULL,
    locked_until      REAL NOT NULL,
    first_sent_at     REAL NOT NULL,
    updated_at        REAL NOT NULL,
    version           INTEGER NOT NULL,
    saved_5xx         INTEGER NOT NULL,
    payment_intent_id TEXT,
    payment_status    TEXT,
    follow_up         TEXT NOT NULL,
    due_at            REAL
);

CREATE INDEX key_records_due ON key_records (due_at) WHERE due_at IS NOT NULL;
