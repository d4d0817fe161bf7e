-- Leaves come and go by these functions: the harvester's role may call them, and owns nothing.

-- What a single answer shows of a picture: the row, its other copies ("instance sequence") and the pictures of other
-- sequences within 15 m in the same leaf ("sequence id longitude latitude azimuth is_360 distance datetime").
CREATE TYPE shown_item AS (
    id uuid, sequence uuid, instance smallint, dictionary smallint, payload bytea, rank integer, azimuth smallint,
    is_360 boolean, prev_id uuid, next_id uuid, prev_at point, next_at point, longitude float8, latitude float8,
    datetime timestamptz, created timestamptz, updated timestamptz, h3 bigint, cell bigint, copies text[], near text[]);

-- The same of a picture among others, with its geodesic distance from the centre, how far in plane degrees its leaf was
-- looked through, and how many pictures were seen there.
CREATE TYPE seen_picture AS (
    id uuid, sequence uuid, instance smallint, dictionary smallint, payload bytea, rank integer, azimuth smallint,
    is_360 boolean, prev_id uuid, next_id uuid, prev_at point, next_at point, longitude float8, latitude float8,
    datetime timestamptz, created timestamptz, updated timestamptz, n integer, distance float8, reach float8, seen bigint);

CREATE FUNCTION item_function(cell bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'item_of_' || to_hex(cell);

-- Makes the function that reads single items of one leaf, so that its plan can be kept. The box around the 15 m is planar:
-- near the poles, the antimeridian and the leaf's edge the caller asks on.
CREATE FUNCTION create_item_function(cell bigint) RETURNS void
LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %2$I(of_sequence integer, of_rank integer, wanted uuid) RETURNS SETOF shown_item
        LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 AS $body$
        BEGIN
            RETURN QUERY
            SELECT p.id, s.id, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
                   p.prev_at, p.next_at, ST_X(p.geom), ST_Y(p.geom), p.datetime, p.created, p.updated, p.h3, p.cell,
                   (SELECT array_agg(concat_ws(' ', l.instance, o.id) ORDER BY l.instance)
                    FROM locator l JOIN sequences o ON o.n = l.sequence WHERE l.id = wanted AND l.copy <> 0
                      AND l.instance <> ALL ((SELECT hidden FROM leaf_set)::smallint[])),
                   ARRAY(SELECT concat_ws(' ', o.id, r.id, ST_X(r.geom), ST_Y(r.geom), coalesce(r.azimuth, -1),
                                          r.is_360::integer, ST_DistanceSpheroid(r.geom, p.geom), r.datetime)
                         FROM %1$I r JOIN sequences o ON o.n = r.sequence
                         WHERE r.geom && ST_Expand(p.geom, 0.000136 / greatest(cosd(ST_Y(p.geom)), 1e-3), 0.000136)
                           AND r.served AND r.sequence <> of_sequence
                           AND r.instance <> ALL ((SELECT hidden FROM leaf_set)::smallint[])
                           AND ST_DistanceSpheroid(r.geom, p.geom) <= 15)
            FROM %1$I p JOIN sequences s ON s.n = p.sequence
            WHERE p.cell = %3$s AND p.sequence = of_sequence AND p.rank = of_rank AND p.id = wanted;
        END
        $body$$function$, 'pictures_' || to_hex(cell), item_function(cell), cell);
END
$make$;

CREATE FUNCTION nearest_function(cell bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'nearest_of_' || to_hex(cell);

-- The same for the first pictures by nearness of one leaf: of the first `looked_at` in plane degrees from the centre, the
-- `wanted` nearest by geodesic. A kept plan does not know the box: only the ordered index scan is good for every box.
CREATE FUNCTION create_nearest_function(cell bigint) RETURNS void
LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %2$I(west float8, south float8, east float8, north float8, x float8, y float8,
                                        looked_at integer, wanted integer) RETURNS SETOF seen_picture
        LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 10
        SET enable_sort = off SET enable_seqscan = off SET enable_bitmapscan = off AS $body$
        DECLARE
            centre CONSTANT geometry := ST_SetSRID(ST_MakePoint(x, y), 4326);
        BEGIN
            RETURN QUERY
            SELECT t.id, s.id, t.instance, t.dictionary, t.payload, t.rank, t.azimuth, t.is_360, t.prev_id, t.next_id,
                   t.prev_at, t.next_at, ST_X(t.geom), ST_Y(t.geom), t.datetime, t.created, t.updated, t.sequence,
                   t.distance, t.reach, t.seen
            FROM (
                SELECT *, max(degrees) OVER () AS reach, count(*) OVER () AS seen
                FROM (
                    SELECT p.*, ST_Distance(p.geom, centre) AS degrees, ST_DistanceSpheroid(p.geom, centre) AS distance
                    FROM %1$I p
                    WHERE p.geom && ST_MakeEnvelope(west, south, east, north, 4326) AND p.served
                      AND ST_X(p.geom) BETWEEN west AND east AND ST_Y(p.geom) BETWEEN south AND north
                    ORDER BY p.geom <-> centre
                    LIMIT looked_at
                ) by_degrees
                ORDER BY distance, id
                LIMIT wanted
            ) t JOIN sequences s ON s.n = t.sequence;
        END
        $body$$function$, 'pictures_' || to_hex(cell), nearest_function(cell));
END
$make$;

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
    PERFORM create_item_function(cell);
    PERFORM create_nearest_function(cell);
    PERFORM create_tile_function(cell);
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
        EXECUTE format('DROP FUNCTION IF EXISTS %I(integer, integer, uuid)', item_function(leaf.cell));
        EXECUTE format('DROP FUNCTION IF EXISTS %I', nearest_function(leaf.cell));
        EXECUTE format('DROP FUNCTION IF EXISTS %I', tile_function(leaf.cell));
        DELETE FROM leaf_deltas WHERE cell = leaf.cell;
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END
$$;

-- Which tables had their indexes rebuilt, and how many pictures they held then: see harvester/compact.py.
CREATE TABLE compactions (
    relation text PRIMARY KEY,
    pictures bigint NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

-- One picture by its id, whichever leaf holds it: one round trip, and no planning over the other leaves.
CREATE FUNCTION picture_row(wanted uuid) RETURNS SETOF pictures
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 SET plan_cache_mode = 'auto' AS $$
DECLARE
    at locator;
BEGIN
    SELECT * INTO at FROM locator
    WHERE id = wanted AND copy = 0 AND instance <> ALL ((SELECT hidden FROM leaf_set)::smallint[]);
    IF FOUND THEN
        RETURN QUERY EXECUTE format('SELECT * FROM %I WHERE cell = $1 AND sequence = $2 AND rank = $3 AND id = $4',
                                    'pictures_' || to_hex(at.cell)) USING at.cell, at.sequence, at.rank, wanted;
    END IF;
END
$$;

-- One picture with what a single answer shows, whichever leaf holds it. Its static plans, and those of the leaf's function,
-- are kept by the session: planning took twice the time of everything else.
CREATE FUNCTION picture_item(wanted uuid) RETURNS SETOF shown_item
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 1 SET plan_cache_mode = 'force_generic_plan' AS $$
DECLARE
    at locator;
BEGIN
    SELECT * INTO at FROM locator
    WHERE id = wanted AND copy = 0 AND instance <> ALL ((SELECT hidden FROM leaf_set)::smallint[]);
    IF FOUND THEN
        RETURN QUERY EXECUTE 'SELECT * FROM ' || item_function(at.cell) || '($1, $2, $3)'
            USING at.sequence, at.rank, wanted;
    END IF;
END
$$;

-- The first pictures by nearness in these few leaves, each leaf by its own kept plan: a block search in half the time.
CREATE FUNCTION nearest_in(cells bigint[], version bigint, west float8, south float8, east float8, north float8,
                           x float8, y float8, looked_at integer, wanted integer) RETURNS SETOF seen_picture
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 10 SET plan_cache_mode = 'force_generic_plan' AS $$
DECLARE
    leaf bigint;
BEGIN
    PERFORM leaf_guard(version);
    FOREACH leaf IN ARRAY cells LOOP
        RETURN QUERY EXECUTE 'SELECT * FROM ' || nearest_function(leaf) || '($1, $2, $3, $4, $5, $6, $7, $8)'
            USING west, south, east, north, x, y, looked_at, wanted;
    END LOOP;
END
$$;

-- The resolution at which leaves begin, fixed by whoever comes first.
CREATE FUNCTION fix_base_resolution(wanted smallint) RETURNS smallint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ UPDATE leaf_set SET base_resolution = coalesce(base_resolution, wanted) RETURNING base_resolution $$;
