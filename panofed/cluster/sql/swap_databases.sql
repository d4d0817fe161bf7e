-- Gives the freshly restored database :fresh the name :wanted; a database of that name becomes :old.
-- Sessions on both are ended first: a database in use cannot be renamed. Both renames or none.
-- psql variables: wanted, fresh, old
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname IN (:'wanted', :'fresh') AND pid <> pg_backend_pid() \g /dev/null
BEGIN;
SELECT format('ALTER DATABASE %I RENAME TO %I', :'wanted', :'old')
WHERE EXISTS (SELECT FROM pg_database WHERE datname = :'wanted') \gexec
ALTER DATABASE :"fresh" RENAME TO :"wanted";
COMMIT;
