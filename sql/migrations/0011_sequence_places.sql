-- Sequences with pictures by their place: searches in a place that ask for dates, filters or an order start from these.
-- The index of places that there was is of served sequences, which those with pictures need not be.
SET ROLE panofed_owner;

CREATE INDEX sequences_place ON sequences USING gist (extent) WHERE pictures > 0;

RESET ROLE;
