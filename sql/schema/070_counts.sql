-- How many served pictures there are, per cell: H3 hexagons of resolutions 3 to 11, and the 0.1 degree lattice of the
-- v1 tiles (numbers below 7,000,000: row * 3600 + column, which no H3 index reaches). Merges only insert signed deltas;
-- one folding job adds them up; readers sum both tables in one snapshot, so every commit is exact and no writer waits.
-- Deltas have no key: they are only added, summed and folded, and a drained index would keep its size.
CREATE TABLE count_deltas (
    cell bigint NOT NULL,
    instance smallint NOT NULL,
    pictures integer NOT NULL,
    pictures_360 integer NOT NULL,
    -- latest capture day of what came; of what went, when pictures is negative
    latest date
);

CREATE TABLE cell_counts (
    cell bigint NOT NULL,
    instance smallint NOT NULL,
    pictures integer NOT NULL,
    pictures_360 integer NOT NULL,
    latest date,
    PRIMARY KEY (cell, instance)
) WITH (fillfactor = 90);

-- Counts to look at again: what carried the latest day may have gone, or nothing is left.
CREATE TABLE stale_counts (
    cell bigint NOT NULL,
    instance smallint NOT NULL,
    PRIMARY KEY (cell, instance)
);

-- The same by instance and month of upload, for statistics.
CREATE TABLE month_deltas (
    instance smallint NOT NULL,
    month date NOT NULL,
    pictures integer NOT NULL,
    pictures_360 integer NOT NULL,
    original_bytes bigint NOT NULL
);

CREATE TABLE month_counts (
    instance smallint NOT NULL,
    month date NOT NULL,
    pictures bigint NOT NULL,
    pictures_360 bigint NOT NULL,
    original_bytes bigint NOT NULL,
    PRIMARY KEY (instance, month)
);
