-- The federation's index. These files are the schema as it is now; sql/migrations holds the steps that lead to it, and
-- a test keeps the two equal.
CREATE EXTENSION IF NOT EXISTS postgis;
-- Roles. Nobody is superuser at run time: the catalog reads as panofed_reader, an operator's request writes as
-- panofed_operator, the harvester writes as panofed_writer, migrations run as panofed_owner. `panofed` is the login
-- that may become the three working roles.
DO $$
DECLARE
    wanted text;
BEGIN
    -- two migrations at once must not race on the cluster-wide catalogue of roles
    PERFORM pg_advisory_xact_lock(hashtext('panofed roles'));
    FOREACH wanted IN ARRAY ARRAY['panofed_owner', 'panofed_writer', 'panofed_operator', 'panofed_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'panofed') THEN
        CREATE ROLE panofed LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
    END IF;
    -- the owner's part is for maintenance: rebuilding an index needs it
    GRANT panofed_owner, panofed_writer, panofed_operator, panofed_reader TO panofed;
    -- the administrator of a hosted server is made a member of all: it hands objects over, and may serve as the login
    FOREACH wanted IN ARRAY ARRAY['panofed_owner', 'panofed_writer', 'panofed_operator', 'panofed_reader'] LOOP
        -- since PostgreSQL 16 the maker of a role is its member, yet may not become it
        IF NOT pg_has_role(current_user, wanted,
                           CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET'
                                ELSE 'MEMBER' END) THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO panofed, panofed_writer, panofed_operator, panofed_reader',
                   current_database());
    GRANT USAGE, CREATE ON SCHEMA public TO panofed_owner;
    GRANT USAGE ON SCHEMA public TO panofed_writer, panofed_operator, panofed_reader;
END
$$;

SET ROLE panofed_owner;
-- The facts about cells that SQL needs; everything else is computed in Python (federation/cells.py).

-- The ancestor of an H3 index at a coarser resolution, by its bits: 4 bits of resolution at bit 52, then 7 bits of base
-- cell, then fifteen digits of 3 bits each, unused digits all ones (https://h3geo.org/docs/core-library/h3Indexing).
CREATE FUNCTION h3_parent(h3 bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (h3 & ~(15::bigint << 52)) | (resolution::bigint << 52) | ((1::bigint << ((15 - resolution) * 3)) - 1);

CREATE FUNCTION h3_resolution(h3 bigint) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ((h3 >> 52) & 15)::integer;

-- Number of the 0.1 degree lattice square of a point: row * 3600 + column from the south-west corner of the world.
CREATE FUNCTION lattice_of(point geometry) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN least(1799, floor((ST_Y(point) + 90) * 10)::integer) * 3600 + least(3599, floor((ST_X(point) + 180) * 10)::integer);
-- Who is harvested. Identity is the stable id of instances.yaml: name and address may change.
CREATE TABLE instances (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    name text NOT NULL UNIQUE,
    url text NOT NULL,
    state text NOT NULL CHECK (state IN ('enabled', 'disabled', 'paused', 'braked')),
    -- why it is paused or braked, for people
    state_reason text NOT NULL DEFAULT '',
    registered_at timestamptz NOT NULL DEFAULT now(),
    -- 'file': its entry in instances.yaml rules it, and its vanishing pauses it
    source text NOT NULL DEFAULT 'file',
    -- politeness, where the entry sets its own; else the settings' (0 requests a second: no limit)
    requests_per_s real,
    concurrency smallint,
    -- whom to write to about it
    contact text NOT NULL DEFAULT '',
    configuration jsonb NOT NULL DEFAULT '{}',
    configuration_at timestamptz,
    version text NOT NULL DEFAULT '',
    -- what was learnt about its API, e.g. {"listing": "id"}: see harvester/client.py
    capabilities jsonb NOT NULL DEFAULT '{}',
    -- hosts the redirects to pictures may name, besides the instance's own
    asset_hosts text[] NOT NULL DEFAULT '{}',
    -- greatest `updated` of the instance below which everything is merged or stands in retries
    cursor timestamptz,
    -- a first crawl goes by id; it resumes after this one, and its cursor will be the clock of its start
    crawl_after uuid,
    crawl_started timestamptz,
    -- the run that may write for this instance: an older one is fenced off
    run bigint NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    last_success_at timestamptz,
    last_change_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    next_visit_at timestamptz NOT NULL DEFAULT now()
);

-- zstd dictionaries, trained on one instance's own items and never shared: they hold literal EXIF.
CREATE TABLE dictionaries (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance smallint NOT NULL REFERENCES instances,
    content bytea NOT NULL,
    trained_on integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dictionaries ALTER COLUMN content SET STORAGE EXTERNAL;

-- Contributors. One person has one account per instance.
CREATE TABLE accounts (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    instance smallint NOT NULL REFERENCES instances,
    name text NOT NULL,
    UNIQUE (id, instance)
);

CREATE TABLE cameras (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    manufacturer text NOT NULL,
    model text NOT NULL,
    UNIQUE (manufacturer, model)
);

CREATE TABLE licenses (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE
);
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
    base_resolution smallint
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
-- Sequences (STAC collections). A row comes when the sequence is first listed and serves once it is merged.
CREATE TABLE sequences (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    -- what the origin calls it, where that is no UUID
    origin_id text,
    instance smallint NOT NULL REFERENCES instances,
    -- pending: listed, not merged yet; merged; removed: the instance deleted or hid it
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'merged', 'removed')),
    -- the copy of its id that is shown; copies of other instances are not
    served boolean NOT NULL DEFAULT false,
    account integer,
    title text NOT NULL DEFAULT '',
    license text NOT NULL DEFAULT '',
    created timestamptz,
    -- the origin's; compared with <> because it can go backwards
    updated timestamptz,
    -- when this catalog last changed anything of it: the cursor for those who harvest us
    indexed timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz,
    hash bigint NOT NULL DEFAULT 0,
    -- computed from the served pictures, since the origin's can be stale, count hidden ones or be wrong at 180 degrees
    pictures integer NOT NULL DEFAULT 0,
    pictures_360 integer NOT NULL DEFAULT 0,
    length_m double precision NOT NULL DEFAULT 0,
    datetime_min timestamptz,
    datetime_max timestamptz,
    -- [west, south, east, north], west > east across the antimeridian
    bbox double precision[],
    -- the same as one or two boxes, for the spatial index
    extent geometry(Geometry, 4326),
    -- MultiLineString as TWKB with six decimals, 0.1 m: a fifth of the bytes, and finer than a pixel of any tile
    lines bytea,
    -- cells of the leaves its pictures are in (a leaf that has split since stands for its children)
    cells bigint[] NOT NULL DEFAULT '{}',
    dictionary smallint NOT NULL DEFAULT 0,
    payload bytea,
    UNIQUE (id, instance)
);
CREATE UNIQUE INDEX sequences_served ON sequences (id) WHERE served;
CREATE INDEX sequences_extent ON sequences USING gist (extent) WHERE served;
CREATE INDEX sequences_indexed ON sequences (indexed, id) WHERE served;
-- Pictures are found by date through their sequences, which are a hundred times fewer: those around a moment, and those
-- that end before it, the latest first.
CREATE INDEX sequences_dates ON sequences USING gist (tstzrange(datetime_min, datetime_max, '[]')) WHERE pictures > 0;
CREATE INDEX sequences_datetime ON sequences (datetime_max DESC, n DESC) WHERE pictures > 0;
CREATE INDEX sequences_instance ON sequences (instance, n);
ALTER TABLE sequences ALTER COLUMN payload SET STORAGE EXTERNAL;
-- Pictures (STAC items), one partition per leaf. Columns are ordered by alignment: 8 bytes, 4, 2, 1, 16, variable.
-- What clients filter, sort, draw or join on is a column; the rest of the item, as the origin said it, is `payload`.
-- `cell` is never updated (a moved picture is deleted and inserted), and every key begins with it: so the table can be
-- distributed by `cell` as it is.
CREATE TABLE pictures (
    -- the leaf
    cell bigint NOT NULL,
    -- H3 cell at resolution 11: counts, and the leaf after a split, come from it
    h3 bigint NOT NULL,
    datetime timestamptz NOT NULL,
    created timestamptz,
    updated timestamptz,
    -- when this catalog last changed it
    indexed timestamptz NOT NULL,
    -- of the origin's bytes: what tells a change, since `updated` does not
    hash bigint NOT NULL,
    -- where the neighbours are: links need it
    prev_at point,
    next_at point,
    -- sequences.n
    sequence integer NOT NULL,
    rank integer NOT NULL,
    -- accounts.n, cameras.n
    account integer,
    camera integer,
    original_bytes integer,
    field_of_view real,
    -- metres
    accuracy_m real,
    -- pixels per degree
    pixel_density real,
    instance smallint NOT NULL,
    license smallint,
    -- degrees, 0-359
    azimuth smallint,
    -- dictionaries.n, 0 for none
    dictionary smallint NOT NULL,
    is_360 boolean NOT NULL,
    -- the copy of its id that is shown
    served boolean NOT NULL,
    id uuid NOT NULL,
    -- neighbours among the served pictures of the sequence
    prev_id uuid,
    next_id uuid,
    geom geometry(Point, 4326) NOT NULL,
    -- [{"key", "value"}] of picture, annotations and sequence
    semantics jsonb,
    payload bytea NOT NULL,
    -- in this order it is also the index of a sequence's pictures by rank, and grows at its end: 90 % full pages
    PRIMARY KEY (cell, sequence, rank, id)
) PARTITION BY LIST (cell);
CREATE INDEX pictures_geom ON pictures USING gist (geom);
-- it is compressed already
ALTER TABLE pictures ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Where the picture <id> is: one probe, and the row to lock when a picture moves.
CREATE TABLE locator (
    cell bigint NOT NULL,
    id uuid NOT NULL,
    sequence integer NOT NULL,
    rank integer NOT NULL,
    instance smallint NOT NULL,
    -- 0 for the served copy of this id, else the instance: the key itself makes two served copies impossible
    copy smallint NOT NULL,
    CHECK (copy IN (0, instance)),
    PRIMARY KEY (id, copy)
);
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
                    FROM locator l JOIN sequences o ON o.n = l.sequence WHERE l.id = wanted AND l.copy <> 0),
                   ARRAY(SELECT concat_ws(' ', o.id, r.id, ST_X(r.geom), ST_Y(r.geom), coalesce(r.azimuth, -1),
                                          r.is_360::integer, ST_DistanceSpheroid(r.geom, p.geom), r.datetime)
                         FROM %1$I r JOIN sequences o ON o.n = r.sequence
                         WHERE r.geom && ST_Expand(p.geom, 0.000136 / greatest(cosd(ST_Y(p.geom)), 1e-3), 0.000136)
                           AND r.served AND r.sequence <> of_sequence
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
    SELECT * INTO at FROM locator WHERE id = wanted AND copy = 0;
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
    SELECT * INTO at FROM locator WHERE id = wanted AND copy = 0;
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
-- What changed, in an order that no late committer can slip under: readers take only rows whose transaction is older
-- than every running one, ordered (xid, n). A number drawn before commit would let a reader pass a slow transaction.
CREATE TABLE changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    n bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    instance smallint NOT NULL,
    sequence uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('upsert', 'remove')),
    -- [west, south, east, north] of the sequence before and after
    bbox_before double precision[],
    bbox_after double precision[],
    PRIMARY KEY (xid, n)
);
CREATE INDEX changes_at ON changes USING brin (at);

-- One row: transaction numbers mean nothing after a restore, so tokens carry the epoch they belong to.
CREATE TABLE epochs (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO epochs DEFAULT VALUES;

CREATE FUNCTION restore_epoch() RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$ UPDATE epochs SET epoch = gen_random_uuid() RETURNING epoch $$;
-- One row per visit to one instance, live while it runs.
CREATE TABLE runs (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance smallint NOT NULL REFERENCES instances,
    started_at timestamptz NOT NULL DEFAULT now(),
    alive_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    phase text NOT NULL DEFAULT 'starting',
    -- done: everything listed is merged; partial: something waits in retries or quarantine; failed: see last_error
    outcome text NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'partial', 'failed', 'interrupted')),
    sequences_seen integer NOT NULL DEFAULT 0,
    sequences_changed integer NOT NULL DEFAULT 0,
    sequences_removed integer NOT NULL DEFAULT 0,
    sequences_failed integer NOT NULL DEFAULT 0,
    sequences_expected integer NOT NULL DEFAULT 0,
    pictures_seen bigint NOT NULL DEFAULT 0,
    pictures_changed bigint NOT NULL DEFAULT 0,
    pictures_removed bigint NOT NULL DEFAULT 0,
    pictures_quarantined bigint NOT NULL DEFAULT 0,
    pictures_not_public bigint NOT NULL DEFAULT 0,
    requests integer NOT NULL DEFAULT 0,
    received_bytes bigint NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    last_error_url text NOT NULL DEFAULT ''
);
CREATE INDEX runs_instance ON runs (instance, n DESC);

-- Sequences that could not be merged; the cursor goes on without them.
CREATE TABLE retries (
    instance smallint NOT NULL REFERENCES instances,
    sequence uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL,
    -- the origin's `updated` when it failed: another one is worth a try at once
    updated timestamptz,
    error text NOT NULL,
    url text NOT NULL DEFAULT '',
    PRIMARY KEY (instance, sequence)
);

-- Records that cannot be accepted, with the reason: counts for everybody, ids and bodies for the instance's operator.
CREATE TABLE quarantine (
    instance smallint NOT NULL REFERENCES instances,
    sequence uuid NOT NULL,
    id text NOT NULL,
    field text NOT NULL,
    problem text NOT NULL,
    body bytea,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance, sequence, id)
);
-- Who may do what. Tables are named one by one: the schema also holds PostGIS's own, which are not ours to grant.
GRANT SELECT ON
    instances, dictionaries, accounts, cameras, licenses, leaves, leaf_deltas, leaf_set, sequences, pictures, locator,
    count_deltas, cell_counts, stale_counts, month_deltas, month_counts, changes, epochs, runs, retries, stale_counts, compactions
    TO panofed_reader, panofed_writer, panofed_operator;
GRANT SELECT ON quarantine TO panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON
    instances, dictionaries, accounts, cameras, licenses, sequences, pictures, locator, leaf_deltas, count_deltas,
    cell_counts, stale_counts, month_deltas, month_counts, changes, runs, retries, quarantine TO panofed_writer;
GRANT UPDATE ON leaves TO panofed_writer;
GRANT INSERT, UPDATE ON instances TO panofed_operator;
REVOKE EXECUTE ON FUNCTION attach_leaf(bigint), create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint),
    restore_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint)
    TO panofed_writer;

RESET ROLE;
GRANT SELECT ON migrations TO panofed_reader, panofed_writer, panofed_operator;
