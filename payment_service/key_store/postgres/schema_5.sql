CREATE INDEX IF NOT EXISTS key_records_alarm ON key_records (left(list_client, 5), updated_at)
WHERE alarm_at IS NOT NULL;
