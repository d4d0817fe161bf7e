-- A catalog filled by COPY. Names in braces are put in by bench/bulk.py.

-- name: leaf_indexes
-- Name and definition of every index of a table, and the constraint it belongs to.
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition, pg_get_constraintdef(k.oid) AS constraint,
       i.indisvalid AND c.relispartition AS attached
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid
WHERE i.indrelid = $1::text::regclass
ORDER BY i.indisprimary DESC, c.relname;

-- name: detach_leaf
ALTER TABLE pictures DETACH PARTITION {leaf};

-- name: check_leaf
-- Spares the attaching a scan of the whole leaf.
ALTER TABLE {leaf} ADD CONSTRAINT bulk_cell CHECK (cell = {cell});

-- name: uncheck_leaf
ALTER TABLE {leaf} DROP CONSTRAINT bulk_cell;

-- name: attach_leaf
ALTER TABLE pictures ATTACH PARTITION {leaf} FOR VALUES IN ({cell});

-- name: drop_constraint
ALTER TABLE {table} DROP CONSTRAINT {name};

-- name: add_constraint
ALTER TABLE {table} ADD CONSTRAINT {name} {definition};

-- name: drop_index
DROP INDEX {name};

-- name: truncate_tables
-- In the transaction of the COPY: what is copied needs no log, and is frozen from the start.
TRUNCATE {tables};

-- name: create_scratch
CREATE UNLOGGED TABLE bulk_points (
    instance smallint, h3 bigint, lattice integer, pictures integer, pictures_360 integer, latest date
);
CREATE UNLOGGED TABLE bulk_months (
    instance smallint, month date, pictures bigint, pictures_360 bigint, original_bytes bigint
);

-- name: drop_scratch
DROP TABLE bulk_points, bulk_months;

-- name: count_points
INSERT INTO bulk_points
SELECT instance, h3, lattice_of(geom), count(*), count(*) FILTER (WHERE is_360), max(datetime::date)
FROM {leaf} WHERE served GROUP BY 1, 2, 3;

-- name: count_months
INSERT INTO bulk_months
SELECT instance, date_trunc('month', coalesce(created, datetime))::date, count(*), count(*) FILTER (WHERE is_360),
       coalesce(sum(original_bytes), 0)
FROM {leaf} WHERE served GROUP BY 1, 2;

-- name: count_leaf
UPDATE leaves l
SET pictures = p.pictures, datetime_min = p.first, datetime_max = p.last, indexed_max = p.indexed
FROM (SELECT count(*) AS pictures, min(datetime) AS first, max(datetime) AS last, max(indexed) AS indexed FROM {leaf}) p
WHERE l.cell = {cell};

-- name: sum_counts
INSERT INTO cell_counts (cell, instance, pictures, pictures_360, latest)
SELECT h3_parent(h3, resolution), instance, sum(pictures), sum(pictures_360), max(latest)
FROM (SELECT h3, instance, sum(pictures) AS pictures, sum(pictures_360) AS pictures_360, max(latest) AS latest
      FROM bulk_points GROUP BY h3, instance) hexagons
CROSS JOIN generate_series(3, 11) AS resolution
GROUP BY h3_parent(h3, resolution), instance
UNION ALL
SELECT lattice, instance, sum(pictures), sum(pictures_360), max(latest) FROM bulk_points GROUP BY lattice, instance;

-- name: sum_months
INSERT INTO month_counts (instance, month, pictures, pictures_360, original_bytes)
SELECT instance, month, sum(pictures), sum(pictures_360), sum(original_bytes) FROM bulk_months GROUP BY instance, month;

-- name: set_numbers
-- Numbers drawn from now on follow those that were copied.
SELECT setval(pg_get_serial_sequence('{table}', 'n'), greatest((SELECT max(n) FROM {table}), 1));

-- name: set_cursors
-- As after a first visit.
UPDATE instances i SET cursor = s.updated, last_attempt_at = now(), last_success_at = now(), last_change_at = now()
FROM (SELECT instance, max(updated) AS updated FROM sequences GROUP BY instance) s WHERE s.instance = i.n;

-- name: check_rows
-- Of one leaf: rows, their sum of check values, rows that belong elsewhere, rows outside the leaf's box.
SELECT count(*), coalesce(sum(hash_record_extended(ROW(p.cell, p.id, p.sequence, p.rank, p.instance), 0)::numeric), 0),
       count(*) FILTER (WHERE p.cell <> l.cell OR h3_parent(p.h3, l.resolution) <> l.cell),
       count(*) FILTER (WHERE NOT (ST_Y(geom) BETWEEN south AND north
           AND CASE WHEN west <= east THEN ST_X(geom) BETWEEN west AND east
                    ELSE ST_X(geom) >= west OR ST_X(geom) <= east END)),
       min(l.pictures)
FROM {leaf} p, leaves l WHERE l.cell = {cell};

-- name: check_locator
SELECT count(*), sum(hash_record_extended(ROW(cell, id, sequence, rank, instance), 0)::numeric),
       count(*) FILTER (WHERE copy <> 0)
FROM locator;

-- name: check_sums
-- The number of pictures as every table has it.
SELECT 'leaves' AS name, sum(pictures)::bigint AS pictures FROM leaves
UNION ALL SELECT 'sequences', sum(pictures)::bigint FROM sequences
UNION ALL SELECT 'months', sum(pictures)::bigint FROM month_counts
UNION ALL SELECT 'resolution ' || h3_resolution(cell), sum(pictures)::bigint FROM cell_counts WHERE cell > 7000000 GROUP BY 1
UNION ALL SELECT 'lattice', sum(pictures)::bigint FROM cell_counts WHERE cell < 7000000
ORDER BY 1;

-- name: check_neighbours
-- Wrong neighbours in the sequences $1, whose pictures are in the leaves $2.
SELECT count(*) FROM (
    SELECT prev_id, next_id, prev_at, next_at, lag(id) OVER w AS prev, lead(id) OVER w AS next,
           (lag(geom) OVER w)::point AS prev_place, (lead(geom) OVER w)::point AS next_place
    FROM pictures WHERE cell = ANY($2::bigint[]) AND sequence = ANY($1::integer[])
    WINDOW w AS (PARTITION BY sequence ORDER BY rank, id)
) p
WHERE prev_id IS DISTINCT FROM prev OR next_id IS DISTINCT FROM next
   OR NOT coalesce(prev_at ~= prev_place, prev_place IS NULL AND prev_at IS NULL)
   OR NOT coalesce(next_at ~= next_place, next_place IS NULL AND next_at IS NULL);

-- name: ids_in_box
SELECT id::text FROM pictures
WHERE cell = ANY($1::bigint[]) AND geom && ST_MakeEnvelope($2, $3, $4, $5, 4326)
  AND ST_X(geom) BETWEEN $2 AND $4 AND ST_Y(geom) BETWEEN $3 AND $5;
