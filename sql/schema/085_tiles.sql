-- Vector tiles: what tells that one is out of date, the lines that are drawn in them, and the pictures of one.

-- How often something changed that is drawn in a tile. Numbers of tiles are 4^z + y * 2^z + x, to zoom 13; the same
-- negative is for everything below that tile: so a change of a large area is a few rows, and one of a small area touches
-- few tiles. Merges only insert; the folding job adds up; readers sum both in one snapshot. A count and not the latest
-- transaction: one that began earlier and commits later must be seen too.
CREATE TABLE tile_deltas (
    tile integer NOT NULL,
    touches integer NOT NULL DEFAULT 1
);
-- read with every tile that is asked for, also while a first crawl fills the table faster than it is folded
CREATE INDEX tile_deltas_tile ON tile_deltas (tile);

CREATE TABLE tile_versions (
    tile integer PRIMARY KEY,
    touches bigint NOT NULL
) WITH (fillfactor = 90);

-- The numbers of the tiles that a change in this box ([west, south, east, north], west > east across the antimeridian)
-- may be seen in. The margin is for what reaches into a tile from outside: the hexagon a picture is in (3 % of a tile's
-- width at the equator), the lattice square, the width of lines.
CREATE FUNCTION tiles_of(bbox double precision[]) RETURNS SETOF integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    finest CONSTANT integer := 13;
    spread_max CONSTANT integer := 16;
    north double precision := least(85.0511287, greatest(-85.0511287, bbox[4]));
    south double precision := least(85.0511287, greatest(-85.0511287, bbox[2]));
    margin double precision := 0.05 / cosd(greatest(abs(north), abs(south)));
    top double precision := 0.5 - ln(tan(pi() / 4 + radians(north) / 2)) / (2 * pi());
    bottom double precision := 0.5 - ln(tan(pi() / 4 + radians(south) / 2)) / (2 * pi());
    west double precision := (bbox[1] + 180) / 360;
    east double precision := (bbox[3] + 180) / 360 + CASE WHEN bbox[1] > bbox[3] THEN 1 ELSE 0 END;
    side integer;
    x_first integer; x_last integer; y_first integer; y_last integer;
    numbers integer[];
BEGIN
    FOR z IN 0..finest LOOP
        side := 1 << z;
        x_first := floor(west * side - margin);
        -- around the world once, not twice
        x_last := least(floor(east * side + margin), x_first + side - 1);
        y_first := greatest(0, floor(top * side - margin));
        y_last := least(side - 1, floor(bottom * side + margin));
        EXIT WHEN (x_last - x_first + 1) * (y_last - y_first + 1) > spread_max;
        numbers := ARRAY(SELECT side * side + y * side + ((x + side) % side)
                         FROM generate_series(y_first, y_last) AS y, generate_series(x_first, x_last) AS x);
        RETURN QUERY SELECT unnest(numbers);
    END LOOP;
    RETURN QUERY SELECT -number FROM unnest(numbers) AS number;
END
$$;

-- The median and the greatest number of pictures in a lattice square, of all kinds, 360 and flat: what `coef` compares
-- with. It moves once a day, or when the number of squares has doubled, so that the map is not coloured anew with every
-- picture. `n` is in the version of every tile that shows it.
CREATE TABLE grid_scales (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n integer NOT NULL DEFAULT 1,
    at timestamptz NOT NULL DEFAULT now(),
    squares bigint NOT NULL,
    medians double precision[] NOT NULL,
    maxima bigint[] NOT NULL
);

-- The same as it is at this moment.
CREATE VIEW grid_scale_now AS
WITH squares AS (
    SELECT sum(pictures) AS pictures, sum(pictures_360) AS of_360
    FROM (SELECT cell, pictures, pictures_360 FROM cell_counts WHERE cell < 7000000
          UNION ALL SELECT cell, pictures, pictures_360 FROM count_deltas WHERE cell < 7000000) AS folded_and_not
    GROUP BY cell HAVING sum(pictures) > 0
)
SELECT count(*) AS squares,
       ARRAY[coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY pictures::double precision), 0),
             coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY of_360::double precision) FILTER (WHERE of_360 > 0), 0),
             coalesce(percentile_cont(0.5) WITHIN GROUP (ORDER BY (pictures - of_360)::double precision)
                      FILTER (WHERE pictures > of_360), 0)] AS medians,
       ARRAY[coalesce(max(pictures), 0), coalesce(max(of_360), 0), coalesce(max(pictures - of_360), 0)]::bigint[] AS maxima
FROM squares;

-- Sequences as tiles draw them, once for each band of zooms (named by its last), simplified by a quarter of a pixel of
-- that zoom, with everything a client filters by: a tile is one index scan of one table.
CREATE TABLE sequence_lines (
    -- 7 (zooms 0-7), 10 (8-10), 13 (11-13), 15 (14-15)
    band smallint NOT NULL,
    -- sequences.n
    n integer NOT NULL,
    account integer,
    day date,
    -- metres, pixels per degree: the median picture's
    accuracy_m real,
    pixel_density real,
    is_360 boolean NOT NULL,
    id uuid NOT NULL,
    account_id uuid,
    model text,
    geom geometry(MultiLineString, 3857) NOT NULL,
    PRIMARY KEY (band, n)
) PARTITION BY LIST (band);
CREATE TABLE sequence_lines_7 PARTITION OF sequence_lines FOR VALUES IN (7);
CREATE TABLE sequence_lines_10 PARTITION OF sequence_lines FOR VALUES IN (10);
CREATE TABLE sequence_lines_13 PARTITION OF sequence_lines FOR VALUES IN (13);
CREATE TABLE sequence_lines_15 PARTITION OF sequence_lines FOR VALUES IN (15);
CREATE INDEX sequence_lines_geom ON sequence_lines USING gist (geom);
CREATE INDEX sequence_lines_account ON sequence_lines (account);

-- Lines or places in Web Mercator; what is beyond its edge is moved to the edge.
CREATE FUNCTION mercator(shape geometry) RETURNS geometry
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    edge CONSTANT double precision := 85.0511287;
BEGIN
    IF ST_YMax(shape) > edge OR ST_YMin(shape) < -edge THEN
        shape := (SELECT ST_Collect(part) FROM (
            SELECT CASE WHEN count(*) > 1 THEN ST_MakeLine(at ORDER BY path) ELSE ST_Collect(at) END AS part
            FROM (SELECT path, ST_MakePoint(ST_X(geom), least(edge, greatest(-edge, ST_Y(geom)))) AS at
                  FROM ST_DumpPoints(shape)) AS points
            GROUP BY path[1]) AS parts);
    END IF;
    RETURN ST_Transform(ST_SetSRID(shape, 4326), 3857);
END
$$;

CREATE FUNCTION dash(at geometry, length_m double precision) RETURNS geometry
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ST_MakeLine(at, ST_Translate(at, length_m, 0));

-- What is smaller than a unit of a tile (a 4096th of its side, an eighth of a pixel) at the first zoom of a band is drawn
-- as long as that, in metres at the equator. The first zoom is 6, 8, 11, 14.
CREATE FUNCTION least_line_m(band integer) RETURNS double precision
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 1.01 * 40075016.68557849 / 4096 / (1 << CASE band WHEN 7 THEN 6 WHEN 10 THEN 8 WHEN 13 THEN 11 ELSE 14 END);

-- Lines as one band of zooms draws them: a quarter of a pixel of its last zoom is not seen. Each part for itself, since
-- parts can be on both sides of the antimeridian.
CREATE FUNCTION lines_of_band(lines geometry, band integer) RETURNS geometry
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    WITH parts AS (
        SELECT geom, greatest(ST_XMax(geom) - ST_XMin(geom), ST_YMax(geom) - ST_YMin(geom)) < least_line_m(band) AS is_short
        FROM ST_Dump(lines)
    )
    SELECT ST_Multi(ST_Collect(line)) FROM (
        SELECT coalesce(ST_Simplify(geom, 2 * 40075016.68557849 / 4096 / (1 << band)), geom) AS line
        FROM parts WHERE NOT is_short
        UNION ALL
        SELECT dash(at, least_line_m(band))
        FROM (SELECT DISTINCT ON (ST_SnapToGrid(ST_StartPoint(geom), least_line_m(band))) ST_StartPoint(geom) AS at
              FROM parts WHERE is_short) AS apart
    ) AS drawn
);

-- Places as one band of zooms draws them: a dash for each, one where several would touch.
CREATE FUNCTION dashes_of_band(places geometry, band integer) RETURNS geometry
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (SELECT ST_Multi(ST_Collect(dash(at, least_line_m(band))))
        FROM (SELECT DISTINCT ON (ST_SnapToGrid(geom, least_line_m(band))) geom AS at FROM ST_DumpPoints(places)) AS apart);

-- Draws these sequences anew, or takes away those that show nothing any more. One whose pictures are all more than the
-- gap apart has no line: it is drawn as a dash at each place.
CREATE FUNCTION draw_sequences(numbers integer[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    leaves bigint[];
BEGIN
    DELETE FROM sequence_lines WHERE n = ANY(numbers);
    leaves := ARRAY(SELECT DISTINCT unnest(cells) FROM sequences WHERE n = ANY(numbers) AND pictures > 0);
    INSERT INTO sequence_lines (band, n, account, day, accuracy_m, pixel_density, is_360, id, account_id, model, geom)
    WITH seen AS (
        SELECT sequence, mode() WITHIN GROUP (ORDER BY camera) AS camera,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY accuracy_m) AS accuracy_m,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY pixel_density) AS pixel_density
        FROM pictures WHERE cell = ANY(leaves) AND sequence = ANY(numbers) AND served
        GROUP BY sequence
    ), scattered AS (
        SELECT p.sequence, mercator(ST_Collect(p.geom)) AS places
        FROM pictures p JOIN sequences s ON s.n = p.sequence
        WHERE p.cell = ANY(leaves) AND p.sequence = ANY(numbers) AND p.served AND s.lines IS NULL
        GROUP BY p.sequence
    ), shown AS (
        SELECT s.n, s.account, s.datetime_min::date AS day, p.accuracy_m, p.pixel_density,
               2 * s.pictures_360 > s.pictures AS is_360, s.id, a.id AS account_id,
               nullif(concat_ws(' ', nullif(c.manufacturer, ''), nullif(c.model, '')), '') AS model,
               CASE WHEN s.lines IS NOT NULL THEN mercator(ST_GeomFromTWKB(s.lines)) END AS line, d.places
        FROM sequences s LEFT JOIN seen p ON p.sequence = s.n LEFT JOIN scattered d ON d.sequence = s.n
        LEFT JOIN accounts a ON a.n = s.account LEFT JOIN cameras c ON c.n = p.camera
        WHERE s.n = ANY(numbers) AND s.pictures > 0
    )
    SELECT band, n, account, day, accuracy_m, pixel_density, is_360, id, account_id, model,
           CASE WHEN line IS NOT NULL THEN lines_of_band(line, band)
                ELSE dashes_of_band(places, band) END
    FROM shown CROSS JOIN unnest(ARRAY[7, 10, 13, 15]) AS band
    WHERE line IS NOT NULL OR places IS NOT NULL;
END
$$;

-- Whatever changes a sequence notes it in `changes`: its tiles are out of date, and its lines are drawn, in that commit.
CREATE FUNCTION follow_changes() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tile_deltas (tile)
    SELECT DISTINCT tiles_of(bbox)
    FROM (SELECT bbox_before AS bbox FROM noted UNION SELECT bbox_after FROM noted) AS boxes
    WHERE bbox IS NOT NULL;
    PERFORM draw_sequences(ARRAY(SELECT s.n FROM noted JOIN sequences s ON s.id = noted.sequence
                                 AND s.instance = noted.instance));
    RETURN NULL;
END
$$;
CREATE TRIGGER changes_in_tiles AFTER INSERT ON changes REFERENCING NEW TABLE AS noted
FOR EACH STATEMENT EXECUTE FUNCTION follow_changes();

-- The pictures of one tile in one partition, as a statement. $1-$4: degrees that surely hold them; $5: units around the
-- world; $6, $7: the tile's first unit; $8: numbers of accounts, or null for all. Bounds are half-open: a picture is in one
-- tile. What is beyond the edge of the projection is on the edge. What is the same for many pictures is looked up and
-- written once; joined to by a hash, whatever the planner expects.
CREATE FUNCTION picture_features(cell bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN format($features$
    WITH near AS MATERIALIZED (
        SELECT * FROM (
            SELECT p.id, p.datetime, p.azimuth, p.is_360, p.accuracy_m, p.pixel_density, p.sequence,
                   coalesce(p.account, 0) AS account, coalesce(p.camera, 0) AS camera,
                   least(floor((ST_X(p.geom) + 180) / 360 * $5), $5 - 1) - $6 AS x,
                   greatest(0, least(floor((0.5 - ln(tan(pi() / 4 + radians(
                       least(85.0511287798066, greatest(-85.0511287798066, ST_Y(p.geom)))) / 2)) / (2 * pi())) * $5),
                       $5 - 1)) - $7 AS y
            FROM %I p
            WHERE p.geom && ST_MakeEnvelope($1, $2, $3, $4, 4326) AND p.served AND ($8 IS NULL OR p.account = ANY($8))
            OFFSET 0) placed
        WHERE x >= 0 AND x < 4096 AND y >= 0 AND y < 4096
    ), told AS MATERIALIZED (
        SELECT sequence, account, camera, '["' || sequence_id || '"]' AS sequences, sequence_id AS first_sequence, account_id,
               model
        FROM (SELECT sequence, account, camera, (SELECT s.id::text FROM sequences s WHERE s.n = sequence) AS sequence_id,
                     (SELECT a.id::text FROM accounts a WHERE a.n = account) AS account_id,
                     (SELECT nullif(concat_ws(' ', nullif(c.manufacturer, ''), nullif(c.model, '')), '')
                      FROM cameras c WHERE c.n = camera) AS model
              FROM (SELECT DISTINCT sequence, account, camera FROM near) AS kinds) AS named
    )
    SELECT ST_MakePoint(t.x, t.y) AS geom, t.id::text AS id, k.account_id, t.datetime::text AS ts,
           t.azimuth::integer AS heading, k.sequences, k.first_sequence,
           CASE WHEN t.is_360 THEN 'equirectangular' ELSE 'flat' END AS type, k.model, t.accuracy_m AS gps_accuracy,
           round(t.pixel_density)::integer AS h_pixel_density
    FROM near t JOIN told k ON k.sequence = t.sequence AND k.account = t.account AND k.camera = t.camera
    $features$, 'pictures_' || to_hex(cell));

CREATE FUNCTION tile_function(cell bigint) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN 'tile_of_' || to_hex(cell);

-- Makes the function that writes the layer `pictures` from one leaf, so that its plan can be kept.
CREATE FUNCTION create_tile_function(cell bigint) RETURNS void
LANGUAGE plpgsql AS $make$
BEGIN
    EXECUTE format($function$
        CREATE OR REPLACE FUNCTION %I(float8, float8, float8, float8, float8, float8, float8, integer[]) RETURNS bytea
        LANGUAGE plpgsql STABLE PARALLEL SAFE
        SET enable_seqscan = off SET enable_nestloop = off SET jit = off AS $body$
        BEGIN
            RETURN (SELECT ST_AsMVT(f, 'pictures', 4096, 'geom') FROM (%s) AS f);
        END
        $body$$function$, tile_function(cell), picture_features(cell));
END
$make$;

-- The layer `pictures` of a tile that these leaves may hold: from one leaf by its kept plan, from several as one statement.
-- While an instance leaves, its pictures are left out of that statement.
CREATE FUNCTION pictures_in_tile(cells bigint[], version bigint, west float8, south float8, east float8, north float8,
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
