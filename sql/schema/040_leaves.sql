-- The leaves: H3 cells that are one partition of pictures each.
CREATE TABLE leaves (
    cell bigint PRIMARY KEY,
    resolution smallint NOT NULL,
    -- live: read and written; splitting: read, its rows are moving to its children; retired: neither, dropped soon
    state text NOT NULL CHECK (state IN ('live', 'splitting', 'retired')),
    state_at timestamptz NOT NULL DEFAULT now(),
    -- a box that holds every point whose leaf this is; west > east where it crosses the antimeridian
    west double precision NOT NULL,
    south double precision NOT NULL,
    east double precision NOT NULL,
    north double precision NOT NULL,
    -- folded from leaf_deltas: read both in one snapshot
    pictures bigint NOT NULL DEFAULT 0,
    datetime_min timestamptz,
    datetime_max timestamptz,
    indexed_max timestamptz
);

-- What merges add to a leaf's statistics; rows are only inserted, so that writers of one city never queue.
CREATE TABLE leaf_deltas (
    cell bigint NOT NULL,
    pictures integer NOT NULL,
    datetime_min timestamptz,
    datetime_max timestamptz,
    indexed_max timestamptz
);

-- One row: its version changes whenever a leaf comes, splits or goes. `base_resolution` is fixed by the first leaf:
-- two processes with different settings must agree on where a point without a leaf belongs.
CREATE TABLE leaf_set (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version bigint NOT NULL DEFAULT 1,
    base_resolution smallint,
    -- instances whose pictures are not shown though they are still here: those that are leaving. Whoever compares the
    -- version knows of it at its next statement
    hidden smallint[] NOT NULL DEFAULT '{}'
);
INSERT INTO leaf_set DEFAULT VALUES;

-- Fails the calling query when the leaves it names are not those of its own snapshot. The caller reloads and repeats.
CREATE FUNCTION leaf_guard(expected bigint) RETURNS boolean
LANGUAGE plpgsql STABLE STRICT AS $$
BEGIN
    IF (SELECT version FROM leaf_set) <> expected THEN
        RAISE EXCEPTION 'the set of leaves changed' USING ERRCODE = 'PF001';
    END IF;
    RETURN true;
END
$$;

-- Advisory locks of this schema, by name. Writers of pictures share 'leaves'; who changes the set holds it alone.
CREATE FUNCTION lock_key(name text) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN hashtextextended('panofed ' || name, 0);
