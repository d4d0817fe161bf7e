-- Removes the database :name, whoever is connected; nothing happens without one.
-- psql variables: name
SET client_min_messages = warning;
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
