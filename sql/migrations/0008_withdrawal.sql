-- Instances that leave, pictures and sequences that are taken down, instances that nobody has reached for long.
SET ROLE panofed_owner;

ALTER TABLE instances DROP CONSTRAINT instances_state_check;
ALTER TABLE instances ADD CONSTRAINT instances_state_check
    CHECK (state IN ('enabled', 'disabled', 'paused', 'braked', 'leaving', 'left'));

-- what happened to an instance stays written down when its row goes
ALTER TABLE events DROP CONSTRAINT events_instance_fkey;
ALTER TABLE events ADD CONSTRAINT events_instance_fkey FOREIGN KEY (instance) REFERENCES instances ON DELETE SET NULL;

-- instances whose pictures are not shown though they are still here: those that are leaving. Whoever compares the version
-- knows of it at its next statement
ALTER TABLE leaf_set ADD COLUMN hidden smallint[] NOT NULL DEFAULT '{}';

-- Pictures and sequences that are not shown, whoever has them, until an administrator ends it.
CREATE TABLE takedowns (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('picture', 'sequence')),
    id uuid NOT NULL,
    reason text NOT NULL,
    -- as in events
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX takedowns_active ON takedowns (kind, id) WHERE ended_at IS NULL;

-- Who had a copy of it when it was taken down, or brought one since: what is read again when it ends.
CREATE TABLE takedown_copies (
    takedown integer NOT NULL REFERENCES takedowns ON DELETE CASCADE,
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    -- its sequences.id
    sequence uuid NOT NULL,
    PRIMARY KEY (takedown, instance, sequence)
);

-- What was taken out by somebody's word, by the leaves it was in: files written before are not served any more. Numbers are in
-- the order of commits, since all who write here hold one lock.
CREATE TABLE recalls (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    cells bigint[] NOT NULL
);

-- After instances began to leave, or left: who is hidden, known to all readers at their next statement, and drawn nowhere.
-- One after the other, so that the later knows of the earlier.
CREATE FUNCTION hide_leaving() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(lock_key('leaving'));
    UPDATE leaf_set SET version = version + 1,
                        hidden = ARRAY(SELECT n FROM instances WHERE state = 'leaving' ORDER BY n);
    INSERT INTO tile_deltas (tile) SELECT DISTINCT tiles_of(ARRAY[-180, -90, 180, 90]::double precision[]);
$$;

-- Single items, those near them and their copies, and tiles of pictures: without what is hidden.
CREATE OR REPLACE FUNCTION create_item_function(cell bigint) RETURNS void
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

CREATE OR REPLACE FUNCTION picture_row(wanted uuid) RETURNS SETOF pictures
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

CREATE OR REPLACE FUNCTION picture_item(wanted uuid) RETURNS SETOF shown_item
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

CREATE OR REPLACE FUNCTION pictures_in_tile(cells bigint[], version bigint, west float8, south float8, east float8, north float8,
                                 units float8, x float8, y float8, accounts integer[]) RETURNS bytea
LANGUAGE plpgsql STABLE PARALLEL SAFE SET plan_cache_mode = 'force_generic_plan' SET enable_nestloop = off AS $$
DECLARE
    layer bytea;
    left_out smallint[];
BEGIN
    PERFORM leaf_guard(version);
    SELECT hidden INTO left_out FROM leaf_set;
    IF cardinality(cells) = 1 AND left_out = '{}' THEN
        EXECUTE 'SELECT ' || tile_function(cells[1]) || '($1, $2, $3, $4, $5, $6, $7, $8)' INTO layer
            USING west, south, east, north, units, x, y, accounts;
    ELSIF cardinality(cells) > 0 THEN
        EXECUTE 'SELECT ST_AsMVT(f, ''pictures'', 4096, ''geom'') FROM ('
                || (SELECT string_agg('(' || CASE WHEN left_out = '{}' THEN picture_features(leaf) ELSE
                                                  replace(picture_features(leaf), 'p.served',
                                                          'p.served AND p.instance <> ALL ($9)') END
                                      || ')', ' UNION ALL ') FROM unnest(cells) AS leaf) || ') AS f' INTO layer
            USING west, south, east, north, units, x, y, accounts, left_out;
    END IF;
    RETURN layer;
END
$$;

SELECT create_item_function(cell) FROM leaves WHERE state <> 'retired';

GRANT SELECT ON takedowns, takedown_copies, recalls TO panofed_reader, panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON takedowns, takedown_copies TO panofed_writer;
GRANT INSERT ON recalls TO panofed_writer;
REVOKE EXECUTE ON FUNCTION hide_leaving() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hide_leaving() TO panofed_writer, panofed_operator;

RESET ROLE;
