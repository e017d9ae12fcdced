DELETE FROM key_records
WHERE key = %(key)s::bytea AND owner = %(current_owner)s::text AND version = %(current_version)s::bigint
