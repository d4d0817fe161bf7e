-- Figures of the whole catalog and of each instance. They are read at most every few seconds or minutes by a worker.
-- Instances that are leaving are in none: left out in a CASE, of which the planner thinks that half pass.

-- name: catalog_held
-- What is held of each instance, by licence.
SELECT s.instance, s.license, count(*) AS sequences, coalesce(sum(s.pictures), 0)::bigint AS pictures,
       min(s.datetime_min) AS datetime_min, max(s.datetime_max) AS datetime_max
FROM sequences s WHERE s.served
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
GROUP BY s.instance, s.license;

-- name: catalog_freshness
-- How long changes took from the origin's word to our commit, in the last $1 days: a histogram of each instance.
SELECT instance, le_s, sum(changes)::bigint AS changes FROM freshness
WHERE day > (now() AT TIME ZONE 'UTC')::date - $1::integer
GROUP BY instance, le_s ORDER BY instance, le_s;

-- name: catalog_contributions
-- Kilometres and contributors of each instance, and of all (instance null); active are those with a sequence that came
-- within $1. A contributor with accounts of one id on several instances is one.
SELECT s.instance, sum(s.length_m) / 1000 AS length_km, count(DISTINCT a.id) AS contributors,
       count(DISTINCT a.id) FILTER (WHERE coalesce(s.created, s.datetime_min) > now() - $1::interval) AS active
FROM sequences s LEFT JOIN accounts a ON a.n = s.account
WHERE s.served AND s.pictures > 0
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
GROUP BY GROUPING SETS ((s.instance), ());

-- name: catalog_months
-- Pictures by month of upload, what is folded and what is not.
SELECT instance, month, sum(pictures)::bigint AS pictures, sum(original_bytes)::bigint AS original_bytes
FROM (SELECT instance, month, pictures, original_bytes FROM month_counts
      UNION ALL SELECT instance, month, pictures, original_bytes FROM month_deltas) AS folded_and_not
WHERE CASE WHEN folded_and_not.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
GROUP BY instance, month HAVING sum(pictures) <> 0
ORDER BY month, instance;

-- name: catalog_months_of_sequences
-- Kilometres and contributors by month of upload.
SELECT s.instance, date_trunc('month', coalesce(s.created, s.datetime_min))::date AS month,
       sum(s.length_m) / 1000 AS length_km, count(DISTINCT a.id) AS contributors
FROM sequences s LEFT JOIN accounts a ON a.n = s.account
WHERE s.served AND s.pictures > 0
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
GROUP BY 1, 2;

-- name: catalog_first_months
-- How many contributors of each instance began in a month.
SELECT instance, month, count(*) AS contributors
FROM (SELECT s.instance, a.id, date_trunc('month', min(coalesce(s.created, s.datetime_min)))::date AS month
      FROM sequences s JOIN accounts a ON a.n = s.account
      WHERE s.served AND s.pictures > 0
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
      GROUP BY s.instance, a.id) AS began
GROUP BY instance, month ORDER BY month;

-- name: catalog_coverage
-- Hexagons with pictures, between the cells $1 and $2: those of one resolution are neighbours in number. Those that are
-- folded, and what the deltas not yet folded change of them.
WITH pending AS (
    SELECT cell, instance, sum(pictures) AS pictures FROM count_deltas
    WHERE cell BETWEEN $1 AND $2 GROUP BY cell, instance
)
SELECT instance, sum(cells)::bigint AS cells
FROM (
    SELECT instance, count(*) AS cells FROM cell_counts WHERE cell BETWEEN $1 AND $2 AND pictures > 0 GROUP BY instance
    UNION ALL
    SELECT p.instance,
           sum((coalesce(c.pictures, 0) + p.pictures > 0)::integer - (coalesce(c.pictures, 0) > 0)::integer)
    FROM pending p LEFT JOIN cell_counts c ON c.cell = p.cell AND c.instance = p.instance
    GROUP BY p.instance
) AS folded_and_not
WHERE CASE WHEN folded_and_not.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
GROUP BY instance;

-- name: catalog_coverage_of_all
-- The same of all instances together: a hexagon that several have pictures in is one.
WITH pending AS (
    SELECT cell, instance, sum(pictures) AS pictures FROM count_deltas d
    WHERE cell BETWEEN $1 AND $2
      AND CASE WHEN d.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
    GROUP BY cell, instance
), shifted AS (
    SELECT (SELECT coalesce(bool_or(c.pictures > 0), false) FROM cell_counts c WHERE c.cell = touched.cell
            AND CASE WHEN c.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS before,
           (SELECT coalesce(bool_or(each.pictures > 0), false) FROM (
                SELECT instance, sum(pictures) AS pictures
                FROM (SELECT c.instance, c.pictures FROM cell_counts c WHERE c.cell = touched.cell
                      AND CASE WHEN c.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
                      UNION ALL SELECT p.instance, p.pictures FROM pending p WHERE p.cell = touched.cell) AS both_of_it
                GROUP BY instance) AS each) AS after
    FROM (SELECT DISTINCT cell FROM pending) AS touched
)
SELECT (SELECT count(*) FROM (
            SELECT DISTINCT cell FROM cell_counts c
            WHERE cell BETWEEN $1 AND $2 AND pictures > 0
              AND CASE WHEN c.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS folded)
       + (SELECT coalesce(sum(after::integer - before::integer), 0) FROM shifted) AS cells;
