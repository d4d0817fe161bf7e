-- Prints 1 if the database :name is there, else 0.
SELECT count(*) FROM pg_database WHERE datname = :'name';
