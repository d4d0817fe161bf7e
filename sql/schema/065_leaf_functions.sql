-- Leaves come and go by these functions: the harvester's role may call them, and owns nothing.

-- Creates one partition. LIKE then ATTACH takes a lock that readers and writers do not feel; PARTITION OF would wait for all.
CREATE FUNCTION attach_leaf(cell bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    leaf text := 'pictures_' || to_hex(cell);
BEGIN
    IF to_regclass(leaf) IS NOT NULL THEN
        RETURN;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE pictures INCLUDING ALL)', leaf);
    EXECUTE format('ALTER TABLE %I ALTER COLUMN payload SET STORAGE EXTERNAL', leaf);
    EXECUTE format('ALTER TABLE pictures ATTACH PARTITION %I FOR VALUES IN (%s)', leaf, cell);
    EXECUTE format('GRANT SELECT ON %I TO panofed_reader', leaf);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO panofed_writer', leaf);
END
$$;

-- A new leaf for a point that has none. Does nothing when the leaf, or an ancestor of it, is there already.
CREATE FUNCTION create_leaf(new_cell bigint, west float8, south float8, east float8, north float8) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key('leaves'));
    IF EXISTS (SELECT FROM leaves l WHERE l.state <> 'retired' AND l.resolution <= h3_resolution(new_cell)
               AND l.cell = h3_parent(new_cell, l.resolution)) THEN
        RETURN;
    END IF;
    PERFORM attach_leaf(new_cell);
    INSERT INTO leaves (cell, resolution, state, west, south, east, north)
    VALUES (new_cell, h3_resolution(new_cell), 'live', west, south, east, north);
    UPDATE leaf_set SET version = version + 1;
END
$$;

-- Opens a split: from here readers name the leaf and its children, writers write to the children.
-- `children` is a JSON array of {cell, west, south, east, north}.
CREATE FUNCTION begin_split(parent bigint, children jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    child record;
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key('leaves'));
    UPDATE leaves SET state = 'splitting', state_at = now() WHERE leaves.cell = parent AND state = 'live';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR child IN SELECT * FROM jsonb_to_recordset(children)
                 AS c (cell bigint, west float8, south float8, east float8, north float8) LOOP
        PERFORM attach_leaf(child.cell);
        INSERT INTO leaves (cell, resolution, state, west, south, east, north)
        VALUES (child.cell, h3_resolution(child.cell), 'live', child.west, child.south, child.east, child.north);
    END LOOP;
    UPDATE leaf_set SET version = version + 1;
END
$$;

-- Closes a split once the leaf is empty; false while it is not.
CREATE FUNCTION finish_split(parent bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    left_over boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(lock_key('leaves'));
    EXECUTE format('SELECT EXISTS (SELECT FROM %I)', 'pictures_' || to_hex(parent)) INTO left_over;
    IF left_over THEN
        RETURN false;
    END IF;
    UPDATE leaves SET state = 'retired', state_at = now() WHERE cell = parent AND state = 'splitting';
    UPDATE leaf_set SET version = version + 1;
    RETURN true;
END
$$;

-- Drops the partitions of leaves retired longer ago than any statement may run; returns how many.
-- Waits briefly for its lock: a reader that is still there makes it fail, and the next round tries again.
CREATE FUNCTION drop_retired_leaves(older_than interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    leaf record;
    dropped integer := 0;
BEGIN
    FOR leaf IN DELETE FROM leaves WHERE state = 'retired' AND state_at < now() - older_than RETURNING cell LOOP
        EXECUTE format('DROP TABLE IF EXISTS %I', 'pictures_' || to_hex(leaf.cell));
        DELETE FROM leaf_deltas WHERE cell = leaf.cell;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- One picture by its id, whichever leaf holds it: one round trip, and no planning over the other leaves.
CREATE FUNCTION picture_row(wanted uuid) RETURNS SETOF pictures
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 SET plan_cache_mode = 'auto' AS $$
DECLARE
    at locator;
BEGIN
    SELECT * INTO at FROM locator WHERE id = wanted AND copy = 0;
    IF FOUND THEN
        RETURN QUERY EXECUTE format('SELECT * FROM %I WHERE cell = $1 AND sequence = $2 AND rank = $3 AND id = $4',
                                    'pictures_' || to_hex(at.cell)) USING at.cell, at.sequence, at.rank, wanted;
    END IF;
END
$$;

-- The resolution at which leaves begin, fixed by whoever comes first.
CREATE FUNCTION fix_base_resolution(wanted smallint) RETURNS smallint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ UPDATE leaf_set SET base_resolution = coalesce(base_resolution, wanted) RETURNING base_resolution $$;
