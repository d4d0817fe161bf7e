-- What the measurement of the counts asks.

-- name: wrong_counts
-- Cells whose count is not that of the pictures of the sequences $1, which are in the leaves $2.
WITH counted AS (
    SELECT h3, instance, is_360, lattice_of(geom) AS lattice, datetime::date AS day
    FROM pictures WHERE cell = ANY($2::bigint[]) AND sequence = ANY($1::integer[]) AND served
), expected AS (
    SELECT h3_parent(h3, resolution) AS cell, instance, count(*) AS pictures, count(*) FILTER (WHERE is_360) AS of_360,
           max(day) AS latest
    FROM counted CROSS JOIN generate_series(3, 11) AS resolution GROUP BY 1, 2
    UNION ALL
    SELECT lattice, instance, count(*), count(*) FILTER (WHERE is_360), max(day) FROM counted GROUP BY 1, 2
), found AS (
    SELECT cell, instance, sum(pictures) AS pictures, sum(pictures_360) AS of_360, max(latest) AS latest
    FROM (SELECT cell, instance, pictures, pictures_360, latest FROM cell_counts
          UNION ALL
          SELECT cell, instance, pictures, pictures_360, latest FROM count_deltas) both_tables
    GROUP BY cell, instance
)
SELECT count(*) FROM expected e FULL JOIN found f USING (cell, instance)
WHERE (e.pictures, e.of_360, e.latest) IS DISTINCT FROM (f.pictures, f.of_360, f.latest);

-- name: deadlocks
SELECT deadlocks FROM pg_stat_database WHERE datname = current_database();

-- name: cells_counted
SELECT count(*) FROM cell_counts;
