-- The world of the measurement of tiles, and the raw tile it is compared with.

-- name: tiles_reset
TRUNCATE pictures, cell_counts, count_deltas, tile_deltas, tile_versions, grid_scales, sequence_lines, sequences, accounts, cameras,
    instances CASCADE;

-- name: tiles_names
WITH a AS (
    INSERT INTO instances (id, name, url, state) VALUES ('bench', 'bench', 'http://127.0.0.1/api', 'enabled') RETURNING n
), b AS (
    INSERT INTO cameras (manufacturer, model) SELECT 'Maker ' || i, 'Model ' || i FROM generate_series(1, 40) AS i
)
INSERT INTO accounts (id, instance, name)
SELECT md5(i::text)::uuid, (SELECT n FROM a), 'user ' || i FROM generate_series(1, 2000) AS i;

-- name: tiles_stage
CREATE UNLOGGED TABLE IF NOT EXISTS bench_lines (line geometry, pictures integer, days integer, is_360 boolean, cells bigint[]);

-- name: tiles_sequences
-- In the order they were staged: the number of a sequence is its place.
INSERT INTO sequences (id, instance, state, served, account, title, pictures, pictures_360, datetime_min, datetime_max, bbox,
                       extent, lines, cells)
SELECT md5('s' || row_number() OVER ())::uuid, (SELECT min(n) FROM instances), 'merged', true,
       (SELECT min(n) FROM accounts) + (hashint4(days * 7 + pictures) & 2047) % 2000, 'a street', pictures,
       CASE WHEN is_360 THEN pictures ELSE 0 END, '2020-01-01'::timestamptz + days * interval '1 day',
       '2020-01-01'::timestamptz + days * interval '1 day', ARRAY[ST_XMin(line), ST_YMin(line), ST_XMax(line), ST_YMax(line)],
       ST_SetSRID(ST_Envelope(line), 4326), ST_AsTWKB(ST_Multi(line), 6), cells
FROM bench_lines;

-- name: tiles_draw
SELECT draw_sequences(ARRAY(SELECT n FROM sequences WHERE n % $1 = $2));

-- name: tiles_streets
-- How many streets have their pictures: those of the first sequences.
SELECT count(DISTINCT sequence) FROM pictures;

-- name: tiles_forget
-- Takes away all pictures but those of the first $1 sequences.
DELETE FROM pictures WHERE sequence >= (SELECT n FROM sequences ORDER BY n OFFSET $1 LIMIT 1);

-- name: tiles_dense
-- Tiles of zoom 15 by their pictures, those with the most first.
SELECT floor((ST_X(geom) + 180) / 360 * 32768)::integer AS x,
       floor((0.5 - ln(tan(pi() / 4 + radians(ST_Y(geom)) / 2)) / (2 * pi())) * 32768)::integer AS y, count(*) AS pictures
FROM pictures GROUP BY 1, 2 HAVING count(*) >= $1 ORDER BY 3 DESC;

-- name: tiles_sums
SELECT (SELECT count(*) FROM cell_counts WHERE cell >= 7000000 AND h3_resolution(cell) = 7) AS hexagons,
       (SELECT count(*) FROM cell_counts WHERE cell < 7000000) AS squares, (SELECT count(*) FROM sequences) AS sequences,
       (SELECT count(*) FROM pictures) AS pictures;

-- name: tiles_raw_projected
-- The best raw tile we know, of the same columns: by PostGIS's own projection.
WITH tile AS (SELECT ST_TileEnvelope($1, $2, $3) AS box, ST_Transform(ST_TileEnvelope($1, $2, $3), 4326) AS around)
SELECT ST_AsMVT(f, 'pictures', 4096, 'geom') || (SELECT ST_AsMVT(l, 'sequences', 4096, 'geom') FROM (
    SELECT ST_AsMVTGeom(s.geom, t.box) AS geom, s.id, s.account_id, s.model, s.is_360, s.day, s.accuracy_m, s.pixel_density
    FROM tile t JOIN sequence_lines_15 s ON s.geom && t.box) AS l)
FROM (SELECT ST_AsMVTGeom(ST_Transform(p.geom, 3857), t.box) AS geom, p.id, a.id AS account_id, p.datetime AS ts,
             p.azimuth AS heading, '["' || s.id || '"]' AS sequences, s.id AS first_sequence, p.is_360 AS type,
             concat_ws(' ', c.manufacturer, c.model) AS model, p.accuracy_m AS gps_accuracy,
             p.pixel_density AS h_pixel_density
      FROM tile t JOIN {leaf} p ON p.geom && t.around
      LEFT JOIN sequences s ON s.n = p.sequence LEFT JOIN accounts a ON a.n = p.account
      LEFT JOIN cameras c ON c.n = p.camera
      WHERE p.served) AS f;

-- name: tiles_raw_planar
-- The same, projected by arithmetic.
WITH tile AS (SELECT ST_TileEnvelope($1, $2, $3) AS box, ST_Transform(ST_TileEnvelope($1, $2, $3), 4326) AS around)
SELECT ST_AsMVT(f, 'pictures', 4096, 'geom') || (SELECT ST_AsMVT(l, 'sequences', 4096, 'geom') FROM (
    SELECT ST_AsMVTGeom(s.geom, t.box) AS geom, s.id, s.account_id, s.model, s.is_360, s.day, s.accuracy_m, s.pixel_density
    FROM tile t JOIN sequence_lines_15 s ON s.geom && t.box) AS l)
FROM (SELECT ST_MakePoint(
                 ((ST_X(p.geom) + 180) / 360 * 32768 - $2) * 4096,
                 ((0.5 - ln(tan(pi() / 4 + radians(ST_Y(p.geom)) / 2)) / (2 * pi())) * 32768 - $3) * 4096) AS geom,
             p.id, a.id AS account_id, p.datetime AS ts,
             p.azimuth AS heading, '["' || s.id || '"]' AS sequences, s.id AS first_sequence, p.is_360 AS type,
             concat_ws(' ', c.manufacturer, c.model) AS model, p.accuracy_m AS gps_accuracy,
             p.pixel_density AS h_pixel_density
      FROM tile t JOIN {leaf} p ON p.geom && t.around
      LEFT JOIN sequences s ON s.n = p.sequence LEFT JOIN accounts a ON a.n = p.account
      LEFT JOIN cameras c ON c.n = p.camera
      WHERE p.served) AS f;
