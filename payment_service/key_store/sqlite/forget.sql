DELETE FROM key_records
WHERE key = :key AND owner = :current_owner AND version = :current_version
