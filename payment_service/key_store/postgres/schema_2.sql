-- NULL in the rows that an earlier release wrote: adding the columns rewrites no row.
--
-- list_client is the beginning of the key, as far as the order_id. listed_version is the version of
-- the record that these columns belong to: an earlier release raises only the version.
ALTER TABLE key_records
    ADD COLUMN IF NOT EXISTS alarm_at float8,
    ADD COLUMN IF NOT EXISTS list_client text COLLATE "C",
    ADD COLUMN IF NOT EXISTS listed_version bigint
