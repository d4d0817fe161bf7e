-- Bytes of the connected database.
SELECT pg_database_size(current_database());
