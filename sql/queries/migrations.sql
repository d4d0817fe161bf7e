-- name: create_migrations_table
-- What was applied, and the checksum it had.
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migrations_table_is_there
SELECT to_regclass('public.migrations') IS NOT NULL;

-- name: applied_migrations
SELECT name, checksum FROM migrations ORDER BY name;

-- name: record_migration
INSERT INTO migrations (name, checksum) VALUES ($1, $2);

-- name: postgis_version_available
-- Installed in this database, or ready to be.
SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'postgis';

-- name: who_and_where
-- Quoted as names in statements are, for a message.
SELECT quote_ident(current_user), quote_ident(current_database());
