-- What tiles are made from.

-- name: tile_states
-- The versions of several tiles in one snapshot. $1: which of them (counted from 0), $2: a number of a tile that it is in,
-- $3: how many tiles there are. Each row also has what is the same for all.
WITH keys AS (SELECT i, tile FROM unnest($1::integer[], $2::integer[]) AS k (i, tile)),
touched AS (
    SELECT i, touches FROM keys JOIN tile_versions USING (tile)
    UNION ALL
    SELECT i, touches FROM keys JOIN tile_deltas USING (tile)
)
SELECT i, coalesce(sum(touches), 0)::bigint AS touches, (SELECT epoch FROM epochs) AS epoch,
       (SELECT hidden FROM leaf_set) AS hidden,
       coalesce((SELECT n FROM grid_scales), 0) AS scale
FROM generate_series(0, $3::integer - 1) AS i LEFT JOIN touched USING (i)
GROUP BY i ORDER BY i;

-- name: tile_counts
-- Counts of cells within spans of numbers ($1 to $2, each), as arrays in PostgreSQL's binary form, a row for each span:
-- what is folded, and behind it what is not (between the least and the greatest number, for the caller to choose from).
-- `pictures` are all, times 2^32, and those of 360 degrees; `latest` days since 1970. One cell may come several times, once
-- for each instance. Rows without any are left out by their number: asked whether an array is there, it is made twice.
SELECT c.* FROM unnest($1::bigint[], $2::bigint[]) AS s (first, last), LATERAL (
    SELECT array_send(array_agg(cell)) AS cells,
           array_send(array_agg(pictures * 4294967296 + pictures_360)) AS pictures,
           array_send(array_agg(coalesce(latest - '1970-01-01'::date, 0))) AS latest
    FROM cell_counts c WHERE cell BETWEEN s.first AND s.last /* shown c */
    HAVING count(*) > 0) AS c
UNION ALL
SELECT d.* FROM (
    SELECT array_send(array_agg(cell)), array_send(array_agg(pictures * 4294967296 + pictures_360)),
           array_send(array_agg(CASE WHEN pictures > 0 THEN coalesce(latest - '1970-01-01'::date, 0) ELSE 0 END))
    FROM count_deltas d
    WHERE cell BETWEEN (SELECT min(f) FROM unnest($1::bigint[]) AS f) AND (SELECT max(l) FROM unnest($2::bigint[]) AS l)
          /* shown d */
    HAVING count(*) > 0
) AS d (cells, pictures, latest);

-- name: tile_squares
-- The same of lattice squares: `squares` are their numbers times 2^32, and their pictures.
SELECT c.* FROM unnest($1::bigint[], $2::bigint[]) AS s (first, last), LATERAL (
    SELECT array_send(array_agg(cell * 4294967296 + pictures)) AS squares,
           array_send(array_agg(pictures_360)) AS pictures_360
    FROM cell_counts c WHERE cell BETWEEN s.first AND s.last /* shown c */
    HAVING count(*) > 0) AS c
UNION ALL
SELECT d.* FROM (
    SELECT array_send(array_agg(cell * 4294967296 + pictures)), array_send(array_agg(pictures_360))
    FROM count_deltas d
    WHERE cell BETWEEN (SELECT min(f) FROM unnest($1::bigint[]) AS f) AND (SELECT max(l) FROM unnest($2::bigint[]) AS l)
          /* shown d */
    HAVING count(*) > 0
) AS d (squares, pictures_360);

-- name: tile_grid_scale
-- What `coef` compares with: as it was kept, or as it is before the first was kept.
SELECT medians, maxima FROM grid_scales
UNION ALL
SELECT medians, maxima FROM grid_scale_now WHERE NOT EXISTS (SELECT FROM grid_scales);

-- name: tile_sequences
-- The layer `sequences` of a tile ($1/$2/$3) from the lines of a band ($4), of some accounts ($5) or of all (null). Lines
-- are made for zooms from 6 on: what is smaller than a unit of a tile above is a dash of one unit.
WITH tile AS (
    SELECT ST_TileEnvelope($1, $2, $3) AS box, ST_TileEnvelope($1, $2, $3, margin => 64.0 / 4096) AS around,
           40075016.68557849 / 4096 / (1::bigint << $1) AS unit
), lines AS (
    SELECT coalesce(
               ST_AsMVTGeom(l.geom, t.box, 4096, 64, true),
               CASE WHEN $1 < 6 THEN (
                   SELECT ST_Collect(dash(ST_MakePoint(x, y), 1))
                   FROM (SELECT DISTINCT floor((ST_XMin(part.geom) - ST_XMin(t.box)) / t.unit) AS x,
                                floor((ST_YMax(t.box) - ST_YMax(part.geom)) / t.unit) AS y
                         FROM ST_Dump(l.geom) AS part) AS apart
                   WHERE x BETWEEN 0 AND 4095 AND y BETWEEN 0 AND 4095)
               END) AS geom,
           l.id::text AS id, l.account_id::text AS account_id, l.model,
           CASE WHEN l.is_360 THEN 'equirectangular' ELSE 'flat' END AS type, l.day::text AS date,
           l.accuracy_m AS gps_accuracy, round(l.pixel_density)::integer AS h_pixel_density
    FROM tile t JOIN sequence_lines l ON l.geom && t.around
    WHERE l.band = $4::smallint AND ($5::integer[] IS NULL OR l.account = ANY($5)) /* shown line */
)
SELECT ST_AsMVT(f, 'sequences', 4096, 'geom') AS layer FROM lines AS f WHERE geom IS NOT NULL;

-- name: tile_pictures
-- The layer `pictures` of a tile; see pictures_in_tile().
SELECT pictures_in_tile($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) AS layer;

-- name: tile_accounts
-- The accounts of one id that have something to show.
SELECT a.n FROM accounts a
WHERE a.id = $1 AND CASE WHEN a.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
  AND EXISTS (SELECT FROM sequences s WHERE s.account = a.n AND s.pictures > 0)
ORDER BY a.n;
