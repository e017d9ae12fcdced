CREATE TABLE IF NOT EXISTS key_store_versions (version bigint PRIMARY KEY)
