-- A template gets its real name only when it is whole.
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
ALTER DATABASE :"unfinished" RENAME TO :"name";
