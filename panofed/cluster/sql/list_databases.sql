-- The databases that hold something of ours, largest last, one per line.
SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY pg_database_size(oid);
