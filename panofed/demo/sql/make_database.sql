-- Makes :name anew, as a copy of :template: a tenth of a second, where migrating takes five.
DROP DATABASE IF EXISTS :"name" WITH (FORCE);
CREATE DATABASE :"name" TEMPLATE :"template";
