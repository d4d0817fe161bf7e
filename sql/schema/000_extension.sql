-- The federation's index. These files are the schema as it is now; sql/migrations holds the steps that lead to it, and
-- a test keeps the two equal.
CREATE EXTENSION IF NOT EXISTS postgis;
