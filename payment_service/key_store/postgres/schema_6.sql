CREATE INDEX IF NOT EXISTS key_records_unlisted ON key_records (key)
WHERE listed_version IS DISTINCT FROM version;
