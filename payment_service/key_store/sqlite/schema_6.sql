CREATE INDEX key_records_unlisted ON key_records (updated_at)
WHERE listed_version IS NOT version;
