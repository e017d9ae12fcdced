CREATE INDEX key_records_unlisted ON key_records (key) WHERE listed_version IS NOT version;
