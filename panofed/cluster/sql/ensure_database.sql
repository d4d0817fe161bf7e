-- Makes the database :name with PostGIS in it; nothing happens when both are there.
-- psql variables: name
SELECT format('CREATE DATABASE %I TEMPLATE template0 ENCODING ''UTF8''', :'name')
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'name') \gexec
\connect :"name"
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS postgis;
