CREATE INDEX key_records_alarm ON key_records (substr(list_client, 1, 5), updated_at)
WHERE alarm_at IS NOT NULL;
