-- One batch of sequences into the index. All of it runs in one transaction, in this order.

-- name: lock_leaves_shared
-- The set of leaves cannot change until this transaction ends.
SELECT pg_advisory_xact_lock_shared(lock_key('leaves'));

-- name: lock_merge
-- The same, and nothing is taken down meanwhile.
SELECT pg_advisory_xact_lock_shared(lock_key('leaves')), pg_advisory_xact_lock_shared(lock_key('takedowns'));

-- name: merge_begins
-- The version of the set of leaves, and whether there is anything that may not be shown.
SELECT version, EXISTS (SELECT FROM takedowns WHERE ended_at IS NULL) AS withholds FROM leaf_set;

-- name: hold_run
-- The run that may write for this instance; the row lock keeps a newer run from starting in the middle.
SELECT run FROM instances WHERE n = $1 FOR SHARE;

-- name: cells_of_sequences
-- Where the pictures of these sequences were.
SELECT DISTINCT unnest(cells) FROM sequences WHERE n = ANY($1::integer[]);

-- name: hold_copies
-- Lock every copy of every picture involved, always in the order of the key: those staged ($1: cells of the sequences
-- merged or removed, $2: their numbers), and those that are under these sequences now.
INSERT INTO held (id, copy, instance, cell, sequence, rank)
SELECT l.id, l.copy, l.instance, l.cell, l.sequence, l.rank
FROM locator l
WHERE l.id IN (
    SELECT id FROM stage
    UNION
    SELECT p.id FROM pictures p WHERE p.cell = ANY($1::bigint[]) AND p.sequence = ANY($2::integer[])
)
ORDER BY l.id, l.copy
FOR UPDATE OF l;

-- name: hold_newer_copies
-- Copies of what goes from $1's sequences $2 that another instance's merge added while its locks were waited for: the
-- statement that waited does not see them, and one of them may have to be shown now. Who adds another one waits for us.
INSERT INTO held (id, copy, instance, cell, sequence, rank)
SELECT l.id, l.copy, l.instance, l.cell, l.sequence, l.rank
FROM locator l
WHERE l.id IN (
    SELECT h.id FROM held h
    WHERE h.copy = 0 AND h.instance = $1 AND h.sequence = ANY($2::integer[])
      AND NOT EXISTS (SELECT FROM stage s WHERE s.id = h.id)
) AND NOT EXISTS (SELECT FROM held h WHERE h.id = l.id AND h.instance = l.instance)
ORDER BY l.id, l.copy
FOR UPDATE OF l;

-- name: hold_sequences
-- What is computed of a sequence below must not be computed by two at once: the later would write the older figures.
-- The other instances' sequences of the same ids too: one of them may be served in its place.
-- Always after the locator's locks, in the order of the key.
SELECT n FROM sequences WHERE id IN (SELECT id FROM sequences WHERE n = ANY($1::integer[])) ORDER BY n
FOR NO KEY UPDATE;

-- name: held_cells
SELECT DISTINCT cell FROM held;

-- name: locate_served
-- New pictures take the served place of their id where it is free. Whoever holds it already keeps it.
INSERT INTO locator (cell, id, sequence, rank, instance, copy)
SELECT s.cell, s.id, s.sequence, s.rank, $1::smallint, 0
FROM stage s
WHERE NOT EXISTS (SELECT FROM held h WHERE h.id = s.id AND (h.instance = $1::smallint OR h.copy = 0))
ORDER BY s.id
ON CONFLICT (id, copy) DO NOTHING;

-- name: locate_copies
-- The others stand behind it, under their instance's number.
INSERT INTO locator (cell, id, sequence, rank, instance, copy)
SELECT s.cell, s.id, s.sequence, s.rank, $1::smallint, $1::smallint
FROM stage s
WHERE NOT EXISTS (SELECT FROM locator l WHERE l.id = s.id AND l.instance = $1::smallint)
ORDER BY s.id
ON CONFLICT (id, copy) DO NOTHING;

-- name: find_unserved
INSERT INTO unserved (id)
SELECT s.id FROM stage s JOIN locator l ON l.id = s.id AND l.instance = $1 AND l.copy <> 0;

-- name: hold_served
-- How many of those stand behind a copy that is gone by now: both were new to each other when this merge began.
WITH there AS (
    SELECT l.id FROM locator l WHERE l.copy = 0 AND l.id IN (SELECT id FROM unserved) ORDER BY l.id FOR KEY SHARE
)
SELECT count(*) FROM unserved u WHERE u.id NOT IN (SELECT id FROM there);

-- name: find_kept
-- Pictures that are here already, in the same place and with the same content.
INSERT INTO kept (id, cell, sequence, rank)
SELECT s.id, s.cell, s.sequence, s.rank
FROM stage s
JOIN held h ON h.id = s.id AND h.instance = $2 AND h.cell = s.cell AND h.sequence = s.sequence AND h.rank = s.rank
JOIN pictures p ON p.cell = ANY($1::bigint[])
    AND p.cell = h.cell AND p.sequence = h.sequence AND p.rank = h.rank AND p.id = h.id
WHERE p.hash = s.hash;

-- name: remove_pictures
-- What is gone from its sequence, and the former state of what is replaced. A picture under another sequence by now is
-- not gone: it is only removed from where it is staged anew.
WITH gone AS (
    DELETE FROM pictures p USING held h
    WHERE p.cell = ANY($1::bigint[])
      AND h.instance = $2
      AND p.cell = h.cell AND p.sequence = h.sequence AND p.rank = h.rank AND p.id = h.id
      AND (h.sequence = ANY($3::integer[]) OR h.id IN (SELECT id FROM stage))
      AND NOT EXISTS (SELECT FROM kept k WHERE k.id = h.id)
    RETURNING p.*
)
INSERT INTO flux (sign, instance, cell, h3, lattice, day, month, is_360, served, original_bytes, datetime, sequence)
SELECT -1, instance, cell, h3, lattice_of(geom), datetime::date, date_trunc('month', coalesce(created, datetime)),
       is_360, served, original_bytes, datetime, sequence
FROM gone;

-- name: forget_locations
-- Of what is gone; what is staged anew is moved instead.
DELETE FROM locator l USING held h
WHERE l.id = h.id AND l.copy = h.copy AND h.instance = $1 AND h.sequence = ANY($2::integer[])
  AND NOT EXISTS (SELECT FROM stage s WHERE s.id = h.id);

-- name: move_locations
UPDATE locator l SET cell = s.cell, sequence = s.sequence, rank = s.rank
FROM stage s
WHERE l.id = s.id AND l.instance = $1
  AND (l.cell, l.sequence, l.rank) IS DISTINCT FROM (s.cell, s.sequence, s.rank);

-- name: promote_copies
-- Where the served copy went away, the next one (of the instance registered first) is shown in the same commit.
UPDATE locator l SET copy = 0
FROM (
    SELECT DISTINCT ON (h.id) h.id, h.copy
    FROM held h
    WHERE h.copy <> 0
      AND EXISTS (SELECT FROM held gone WHERE gone.id = h.id AND gone.copy = 0 AND gone.instance = $1
                  AND gone.sequence = ANY($2::integer[]))
      AND NOT EXISTS (SELECT FROM stage s WHERE s.id = h.id)
    ORDER BY h.id, h.copy
) next
WHERE l.id = next.id AND l.copy = next.copy
RETURNING l.id, l.cell, l.sequence, l.rank;

-- name: serve_promoted
WITH shown AS (
    UPDATE pictures p SET served = true, indexed = now()
    FROM unnest($2::uuid[], $3::bigint[], $4::integer[], $5::integer[]) AS promoted (id, cell, sequence, rank)
    WHERE p.cell = ANY($1::bigint[])
      AND p.cell = promoted.cell AND p.sequence = promoted.sequence AND p.rank = promoted.rank AND p.id = promoted.id
    RETURNING p.*
), noted AS (
    INSERT INTO leaf_deltas (cell, pictures, indexed_max) SELECT DISTINCT cell, 0, now() FROM shown
)
INSERT INTO flux (sign, instance, cell, h3, lattice, day, month, is_360, served, original_bytes, datetime, sequence)
SELECT 1, instance, NULL, h3, lattice_of(geom), datetime::date, date_trunc('month', coalesce(created, datetime)),
       is_360, true, original_bytes, datetime, sequence
FROM shown;

-- name: insert_pictures
WITH inserted AS (
    INSERT INTO pictures (cell, h3, datetime, created, updated, indexed, hash, sequence, rank, account, camera,
                          original_bytes, field_of_view, accuracy_m, pixel_density, instance, license, azimuth,
                          dictionary, is_360, served, id, prev_id, next_id, prev_at, next_at, geom, semantics, payload)
    SELECT cell, h3, datetime, created, updated, now(), hash, sequence, rank, account, camera, original_bytes,
           field_of_view, accuracy_m, pixel_density, $1::smallint, license, azimuth, dictionary, is_360, served, id,
           prev_id, next_id, prev_geom::point, next_geom::point, geom, semantics, payload
    FROM placed
    WHERE NOT EXISTS (SELECT FROM kept k WHERE k.id = placed.id)
    RETURNING cell, h3, geom, datetime, created, is_360, served, original_bytes, sequence
)
INSERT INTO flux (sign, instance, cell, h3, lattice, day, month, is_360, served, original_bytes, datetime, sequence)
SELECT 1, $1::smallint, cell, h3, lattice_of(geom), datetime::date, date_trunc('month', coalesce(created, datetime)), is_360,
       served, original_bytes, datetime, sequence
FROM inserted;

-- name: relink_kept
-- Neighbours of pictures that stayed as they are: written only where they changed. Their leaf is newer by it.
WITH relinked AS (
    UPDATE pictures p
    SET prev_id = w.prev_id, next_id = w.next_id, prev_at = w.prev_geom::point, next_at = w.next_geom::point,
        indexed = now()
    FROM placed w
    WHERE p.cell = ANY($1::bigint[])
      AND w.id IN (SELECT id FROM kept)
      AND p.cell = w.cell AND p.sequence = w.sequence AND p.rank = w.rank AND p.id = w.id
      AND (p.prev_id IS DISTINCT FROM w.prev_id OR p.next_id IS DISTINCT FROM w.next_id
           OR NOT coalesce(p.prev_at ~= w.prev_geom::point, w.prev_geom IS NULL)
           OR NOT coalesce(p.next_at ~= w.next_geom::point, w.next_geom IS NULL))
    RETURNING p.cell, p.sequence
), noted AS (
    INSERT INTO leaf_deltas (cell, pictures, indexed_max) SELECT DISTINCT cell, 0, now() FROM relinked
)
SELECT DISTINCT sequence FROM relinked;

-- name: relink_others
-- The same for sequences that were not read in this batch but lost or gained a served picture by it.
WITH neighbours AS (
    SELECT cell, sequence, rank, id, lag(id) OVER w AS prev_id, lead(id) OVER w AS next_id,
           (lag(geom) OVER w)::point AS prev_at, (lead(geom) OVER w)::point AS next_at
    FROM pictures
    WHERE cell = ANY($1::bigint[]) AND sequence = ANY($2::integer[]) AND served
    WINDOW w AS (PARTITION BY sequence ORDER BY rank, id)
), relinked AS (
    UPDATE pictures p
    SET prev_id = w.prev_id, next_id = w.next_id, prev_at = w.prev_at, next_at = w.next_at, indexed = now()
    FROM neighbours w
    WHERE p.cell = ANY($1::bigint[])
      AND p.cell = w.cell AND p.sequence = w.sequence AND p.rank = w.rank AND p.id = w.id
      AND (p.prev_id IS DISTINCT FROM w.prev_id OR p.next_id IS DISTINCT FROM w.next_id
           OR NOT coalesce(p.prev_at ~= w.prev_at, w.prev_at IS NULL)
           OR NOT coalesce(p.next_at ~= w.next_at, w.next_at IS NULL))
    RETURNING p.cell
)
INSERT INTO leaf_deltas (cell, pictures, indexed_max) SELECT DISTINCT cell, 0, now() FROM relinked;

-- name: touched_sequences
-- Sequences whose pictures this batch changed.
SELECT DISTINCT sequence FROM flux;

-- name: record_counts
-- Signed counts of everything that came and went: per hexagon and lattice point, per month, per leaf.
WITH points AS (
    SELECT sign, instance, h3, lattice, is_360, day, count(*)::integer AS pictures
    FROM flux WHERE served
    GROUP BY sign, instance, h3, lattice, is_360, day
), hexagons AS (
    SELECT sign, instance, h3, sum(pictures) AS pictures, coalesce(sum(pictures) FILTER (WHERE is_360), 0) AS of_360,
           max(day) AS latest
    FROM points GROUP BY sign, instance, h3
), counted AS (
    INSERT INTO count_deltas (cell, instance, pictures, pictures_360, latest)
    SELECT h3_parent(h3, resolution), instance, sign * sum(pictures), sign * sum(of_360), max(latest)
    FROM hexagons CROSS JOIN generate_series(3, 11) AS resolution
    GROUP BY h3_parent(h3, resolution), instance, sign
    UNION ALL
    SELECT lattice, instance, sign * sum(pictures), sign * coalesce(sum(pictures) FILTER (WHERE is_360), 0), max(day)
    FROM points GROUP BY lattice, instance, sign
), monthly AS (
    INSERT INTO month_deltas (instance, month, pictures, pictures_360, original_bytes)
    SELECT instance, month, sum(sign), coalesce(sum(sign) FILTER (WHERE is_360), 0),
           coalesce(sum(sign * original_bytes::bigint), 0)
    FROM flux WHERE served GROUP BY instance, month
)
INSERT INTO leaf_deltas (cell, pictures, datetime_min, datetime_max, indexed_max)
SELECT cell, sum(sign), min(datetime) FILTER (WHERE sign > 0), max(datetime) FILTER (WHERE sign > 0), now()
FROM flux WHERE cell IS NOT NULL GROUP BY cell;

-- name: describe_sequences
-- What the origin says of the sequences of this batch. Returns those whose description changed.
UPDATE sequences s
SET state = 'merged', account = d.account, title = d.title, license = d.license, created = d.created,
    updated = d.updated, checked_at = now(), hash = d.hash, dictionary = d.dictionary, payload = d.payload,
    served = s.served OR NOT EXISTS (SELECT FROM sequences o WHERE o.id = s.id AND o.served AND o.n <> s.n)
FROM unnest($1::integer[], $2::integer[], $3::text[], $4::text[], $5::timestamptz[], $6::timestamptz[], $7::bigint[],
            $8::smallint[], $9::bytea[])
     AS d (n, account, title, license, created, updated, hash, dictionary, payload),
     sequences old
WHERE s.n = d.n AND old.n = s.n
RETURNING s.n, old.state <> 'merged' OR old.hash <> d.hash OR old.account IS DISTINCT FROM d.account AS changed;

-- name: retire_sequences
-- Deleted or hidden at their origin: nothing of them is kept but the fact.
UPDATE sequences SET state = 'removed', served = false, checked_at = now(), updated = NULL, hash = 0, title = '',
       account = NULL, payload = NULL, removed_at = CASE WHEN served THEN now() ELSE removed_at END
WHERE n = ANY($1::integer[]) AND state <> 'removed'
RETURNING n;

-- name: promote_sequences
-- Another instance's copy of a sequence that is no longer served.
UPDATE sequences s SET served = true
FROM (
    SELECT DISTINCT ON (o.id) o.n FROM sequences o
    WHERE o.id IN (SELECT id FROM sequences WHERE n = ANY($1::integer[]) AND NOT served)
      AND o.state = 'merged'
      AND NOT EXISTS (SELECT FROM sequences x WHERE x.id = o.id AND x.served)
    ORDER BY o.id, o.instance
) next
WHERE s.n = next.n
RETURNING s.n;

-- name: record_changes
-- One change for every sequence in $1, with its box before (now in the row) and after ($2: cells of all of them, $3:
-- metres beyond which a line is cut). The line, extent, times and counts are those of the served pictures.
WITH ordered AS (
    SELECT sequence, rank, id, cell, geom, datetime, is_360,
           ST_DistanceSphere(geom, lag(geom) OVER w) AS step_m,
           abs(ST_X(geom) - ST_X(lag(geom) OVER w)) > 180 AS across
    FROM pictures
    WHERE cell = ANY($2::bigint[]) AND sequence = ANY($1::integer[]) AND served
    WINDOW w AS (PARTITION BY sequence ORDER BY rank, id)
), parted AS (
    SELECT *, step_m > $3 OR across AS cut,
           count(*) FILTER (WHERE step_m > $3 OR across) OVER (PARTITION BY sequence ORDER BY rank, id) AS part
    FROM ordered
), parts AS (
    SELECT sequence, part, count(*) AS pictures, count(*) FILTER (WHERE is_360) AS of_360,
           min(datetime) AS first, max(datetime) AS last, coalesce(sum(step_m) FILTER (WHERE NOT cut), 0) AS length_m,
           min(ST_X(geom)) AS x_min, max(ST_X(geom)) AS x_max,
           min(ST_X(geom)) FILTER (WHERE ST_X(geom) >= 0) AS east_of_greenwich,
           max(ST_X(geom)) FILTER (WHERE ST_X(geom) < 0) AS west_of_greenwich,
           min(ST_Y(geom)) AS south, max(ST_Y(geom)) AS north,
           CASE WHEN count(*) > 1 THEN ST_MakeLine(geom ORDER BY rank, id) END AS line
    FROM parted GROUP BY sequence, part
), merged AS (
    SELECT sequence, sum(pictures)::integer AS pictures, sum(of_360)::integer AS of_360, min(first) AS first,
           max(last) AS last, sum(length_m) AS length_m,
           CASE WHEN max(x_max) - min(x_min) > 180 THEN min(east_of_greenwich) ELSE min(x_min) END AS west,
           CASE WHEN max(x_max) - min(x_min) > 180 THEN max(west_of_greenwich) ELSE max(x_max) END AS east,
           min(south) AS south, max(north) AS north, ST_AsTWKB(ST_Multi(ST_Collect(line ORDER BY part)), 6) AS lines
    FROM parts GROUP BY sequence
), occupied AS (
    SELECT sequence, array_agg(DISTINCT cell) AS cells
    FROM pictures WHERE cell = ANY($2::bigint[]) AND sequence = ANY($1::integer[])
    GROUP BY sequence
), changed AS (
    UPDATE sequences s
    SET indexed = now(), pictures = coalesce(m.pictures, 0), pictures_360 = coalesce(m.of_360, 0),
        length_m = coalesce(m.length_m, 0), datetime_min = m.first, datetime_max = m.last, lines = m.lines,
        bbox = CASE WHEN m.west IS NOT NULL THEN ARRAY[m.west, m.south, m.east, m.north] END,
        extent = CASE
            WHEN m.west <= m.east THEN ST_MakeEnvelope(m.west, m.south, m.east, m.north, 4326)
            WHEN m.west > m.east THEN ST_Collect(ST_MakeEnvelope(m.west, m.south, 180, m.north, 4326),
                                                 ST_MakeEnvelope(-180, m.south, m.east, m.north, 4326))
        END,
        cells = coalesce(o.cells, '{}')
    FROM sequences old LEFT JOIN merged m ON m.sequence = old.n LEFT JOIN occupied o ON o.sequence = old.n
    WHERE s.n = old.n AND s.n = ANY($1::integer[])
    RETURNING s.n, s.instance, s.id, s.state, old.bbox AS before, s.bbox AS after
)
INSERT INTO changes (instance, sequence, kind, bbox_before, bbox_after)
SELECT instance, id, CASE WHEN state = 'removed' THEN 'remove' ELSE 'upsert' END, before, after FROM changed
ORDER BY n;

-- name: settle_retries
DELETE FROM retries WHERE instance = $1 AND sequence IN (SELECT id FROM sequences WHERE n = ANY($2::integer[]));
