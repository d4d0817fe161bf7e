-- name: lock_folding
-- One process folds at a time.
SELECT pg_try_advisory_xact_lock(lock_key('fold'));

-- name: fold_counts
-- Add some deltas to the counts, in the order of the key. A removal that may have carried the latest day, or the last
-- picture, marks its cell.
WITH taken AS (
    DELETE FROM count_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM count_deltas LIMIT $1))
    RETURNING cell, instance, pictures, pictures_360, latest
), added AS (
    SELECT cell, instance, sum(pictures) AS pictures, sum(pictures_360) AS pictures_360,
           max(latest) FILTER (WHERE pictures > 0) AS latest, max(latest) FILTER (WHERE pictures < 0) AS latest_gone
    FROM taken GROUP BY cell, instance
), upserted AS (
    INSERT INTO cell_counts AS c (cell, instance, pictures, pictures_360, latest)
    SELECT cell, instance, pictures, pictures_360, latest FROM added ORDER BY cell, instance
    ON CONFLICT (cell, instance) DO UPDATE
    SET pictures = c.pictures + excluded.pictures, pictures_360 = c.pictures_360 + excluded.pictures_360,
        latest = greatest(c.latest, excluded.latest)
    RETURNING c.cell, c.instance, c.pictures, c.latest
), marked AS (
    INSERT INTO stale_counts (cell, instance)
    SELECT u.cell, u.instance FROM upserted u JOIN added a USING (cell, instance)
    WHERE a.latest_gone >= u.latest OR u.latest IS NULL OR u.pictures = 0
    ON CONFLICT DO NOTHING
)
SELECT count(*) FROM taken;

-- name: drop_empty_counts
DELETE FROM cell_counts c USING stale_counts s
WHERE c.cell = s.cell AND c.instance = s.instance AND c.pictures = 0;

-- name: fold_months
WITH taken AS (
    DELETE FROM month_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM month_deltas LIMIT $1))
    RETURNING instance, month, pictures, pictures_360, original_bytes
), upserted AS (
    INSERT INTO month_counts AS m (instance, month, pictures, pictures_360, original_bytes)
    SELECT instance, month, sum(pictures), sum(pictures_360), sum(original_bytes)
    FROM taken GROUP BY instance, month ORDER BY instance, month
    ON CONFLICT (instance, month) DO UPDATE
    SET pictures = m.pictures + excluded.pictures, pictures_360 = m.pictures_360 + excluded.pictures_360,
        original_bytes = m.original_bytes + excluded.original_bytes
)
SELECT count(*) FROM taken;

-- name: fold_leaves
WITH taken AS (
    DELETE FROM leaf_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM leaf_deltas LIMIT $1))
    RETURNING cell, pictures, datetime_min, datetime_max, indexed_max
), added AS (
    SELECT cell, sum(pictures) AS pictures, min(datetime_min) AS datetime_min, max(datetime_max) AS datetime_max,
           max(indexed_max) AS indexed_max
    FROM taken GROUP BY cell ORDER BY cell
), updated AS (
    UPDATE leaves l
    SET pictures = l.pictures + a.pictures, datetime_min = least(l.datetime_min, a.datetime_min),
        datetime_max = greatest(l.datetime_max, a.datetime_max), indexed_max = greatest(l.indexed_max, a.indexed_max)
    FROM added a WHERE l.cell = a.cell
)
SELECT count(*) FROM taken;

-- name: fold_tiles
WITH taken AS (
    DELETE FROM tile_deltas WHERE ctid = ANY(ARRAY(SELECT ctid FROM tile_deltas LIMIT $1)) RETURNING tile, touches
), upserted AS (
    INSERT INTO tile_versions AS v (tile, touches)
    SELECT tile, sum(touches) FROM taken GROUP BY tile ORDER BY tile
    ON CONFLICT (tile) DO UPDATE SET touches = v.touches + excluded.touches
)
SELECT count(*) FROM taken;

-- name: touch_tiles
-- What is drawn in this box changed, though no sequence did.
INSERT INTO tile_deltas (tile) SELECT DISTINCT tiles_of($1::double precision[]);

-- name: move_grid_scale
-- The scale of `coef`, moved when it is older than $1, or when there are twice as many squares as then. One process folds
-- at a time: this is part of it.
INSERT INTO grid_scales AS g (squares, medians, maxima)
SELECT squares, medians, maxima FROM grid_scale_now
WHERE squares > 0
  AND pg_try_advisory_xact_lock(lock_key('fold'))
  AND NOT EXISTS (SELECT FROM grid_scales old
                  WHERE old.at > now() - $1::interval
                    AND old.squares * 2 > (SELECT count(DISTINCT cell) FROM cell_counts WHERE cell < 7000000))
ON CONFLICT (only_row) DO UPDATE
SET n = g.n + 1, at = now(), squares = excluded.squares, medians = excluded.medians, maxima = excluded.maxima;

-- name: take_stale_counts
-- Cells to look at again.
DELETE FROM stale_counts WHERE (cell, instance) IN (
    SELECT cell, instance FROM stale_counts ORDER BY cell, instance LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING cell, instance;

-- name: refresh_latest
-- The latest day of one hexagon or lattice point, read again from the pictures in its box.
UPDATE cell_counts c SET latest = (
    SELECT max(p.datetime)::date FROM pictures p
    WHERE p.cell = ANY($3::bigint[]) AND p.instance = $2::smallint AND p.served
      AND p.geom && ST_MakeEnvelope($4, $5, $6, $7, 4326)
      AND CASE WHEN $1::bigint < 7000000 THEN lattice_of(p.geom) = $1::bigint
               ELSE h3_parent(p.h3, h3_resolution($1::bigint)) = $1::bigint END)
WHERE c.cell = $1::bigint AND c.instance = $2::smallint;
