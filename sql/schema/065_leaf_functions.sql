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
-- Waits 100 ms for its lock, since readers queue behind it: one that is still there makes it fail, and the next round
-- tries again.
CREATE FUNCTION drop_retired_leaves(older_than interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '100ms' AS $$
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

-- One picture with what a single answer shows: its other copies ("instance sequence") and the pictures of other sequences
-- within 15 m in the same leaf ("sequence id longitude latitude azimuth is_360 distance datetime"). The box of the 15 m
-- is planar: near the poles, the antimeridian and the leaf's edge the caller asks on. Dynamic, so that only one leaf is
-- planned: 115 us, 30 more than a function for each leaf would take.
CREATE FUNCTION picture_item(wanted uuid) RETURNS TABLE (
    id uuid, sequence uuid, instance smallint, dictionary smallint, payload bytea, rank integer, azimuth smallint,
    is_360 boolean, prev_id uuid, next_id uuid, prev_at point, next_at point, longitude float8, latitude float8,
    datetime timestamptz, created timestamptz, updated timestamptz, h3 bigint, cell bigint, copies text[], near text[])
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 SET plan_cache_mode = 'auto' AS $$
#variable_conflict use_column
DECLARE
    at locator;
    leaf text;
BEGIN
    SELECT * INTO at FROM locator WHERE id = wanted AND copy = 0;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    leaf := 'pictures_' || to_hex(at.cell);
    SELECT s.id INTO sequence FROM sequences s WHERE s.n = at.sequence;
    EXECUTE format(
        'SELECT id, instance, dictionary, payload, rank, azimuth, is_360, prev_id, next_id, prev_at, next_at,'
        ' ST_X(geom), ST_Y(geom), datetime, created, updated, h3, cell, ARRAY('
        'SELECT concat_ws('' '', r.sequence, r.id, ST_X(r.geom), ST_Y(r.geom), coalesce(r.azimuth, -1), r.is_360::integer,'
        ' ST_DistanceSpheroid(r.geom, p.geom), r.datetime) FROM %I r'
        ' WHERE r.served AND r.sequence <> $2'
        ' AND r.geom && ST_Expand(p.geom, 0.000136 / greatest(cosd(ST_Y(p.geom)), 1e-3), 0.000136)'
        ' AND ST_DistanceSpheroid(r.geom, p.geom) <= 15)'
        ' FROM %I p WHERE cell = $1 AND sequence = $2 AND rank = $3 AND id = $4', leaf, leaf)
    INTO id, instance, dictionary, payload, rank, azimuth, is_360, prev_id, next_id, prev_at, next_at,
         longitude, latitude, datetime, created, updated, h3, cell, near
    USING at.cell, at.sequence, at.rank, wanted;
    IF cardinality(near) > 0 THEN
        SELECT array_agg(s.id || substr(c.line, strpos(c.line, ' '))) INTO near
        FROM unnest(near) AS c (line) JOIN sequences s ON s.n = split_part(c.line, ' ', 1)::integer;
    END IF;
    SELECT array_agg(concat_ws(' ', l.instance, s.id) ORDER BY l.instance) INTO copies
    FROM locator l JOIN sequences s ON s.n = l.sequence WHERE l.id = wanted AND l.copy <> 0;
    RETURN NEXT;
END
$$;

-- The resolution at which leaves begin, fixed by whoever comes first.
CREATE FUNCTION fix_base_resolution(wanted smallint) RETURNS smallint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ UPDATE leaf_set SET base_resolution = coalesce(base_resolution, wanted) RETURNING base_resolution $$;
