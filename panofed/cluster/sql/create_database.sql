-- Makes the empty database :name; fails if it is there.
-- psql variables: name
CREATE DATABASE :"name" TEMPLATE template0 ENCODING 'UTF8';
