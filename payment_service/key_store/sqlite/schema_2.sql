ALTER TABLE key_records ADD COLUMN alarm_at REAL;

ALTER TABLE key_records ADD COLUMN list_client TEXT;

ALTER TABLE key_records ADD COLUMN listed_version INTEGER;
