-- name: lock_splitting
-- One process splits at a time; held by the connection.
SELECT pg_try_advisory_lock(lock_key('split'));

-- name: unlock_splitting
SELECT pg_advisory_unlock(lock_key('split'));

-- name: next_split_batch
-- The next pictures of a leaf that is splitting, after a key: going on from there steps over what was moved already.
SELECT sequence, rank, id, instance FROM pictures
WHERE cell = $1 AND (sequence, rank, id) > ($2::integer, $3::integer, $4::uuid)
ORDER BY sequence, rank, id LIMIT $5;

-- name: take_split_batch
-- Their locator rows are locked first, in the order every writer uses. One that a writer moved meanwhile is left out.
SELECT l.id, l.sequence, l.rank FROM locator l
JOIN unnest($2::uuid[], $3::smallint[]) AS p (id, instance) ON p.id = l.id AND p.instance = l.instance
WHERE l.cell = $1
ORDER BY l.id, l.copy
FOR UPDATE OF l;

-- name: move_split_batch
-- Those pictures, out of the leaf ($1) and into its children ($2: their resolution).
WITH moving AS (
    DELETE FROM pictures p USING unnest($3::integer[], $4::integer[], $5::uuid[]) AS taken (sequence, rank, id)
    WHERE p.cell = $1 AND p.sequence = taken.sequence AND p.rank = taken.rank AND p.id = taken.id
    RETURNING p.*
), moved AS (
    INSERT INTO pictures
    SELECT h3_parent(h3, $2::integer), h3, datetime, created, updated, indexed, hash, prev_at, next_at, sequence, rank, account, camera,
           original_bytes, field_of_view, accuracy_m, pixel_density, instance, license, azimuth, dictionary, is_360,
           served, id, prev_id, next_id, geom, semantics, payload
    FROM moving
    RETURNING cell, id, instance, sequence, datetime
), located AS (
    UPDATE locator l SET cell = m.cell FROM moved m WHERE l.id = m.id AND l.instance = m.instance
), sequenced AS (
    UPDATE sequences s
    SET cells = ARRAY(SELECT DISTINCT c FROM unnest(s.cells || m.cells) AS c ORDER BY c)
    FROM (SELECT sequence, array_agg(DISTINCT cell) AS cells FROM moved GROUP BY sequence ORDER BY sequence) m
    WHERE s.n = m.sequence
), counted AS (
    INSERT INTO leaf_deltas (cell, pictures, datetime_min, datetime_max, indexed_max)
    SELECT cell, count(*), min(datetime), max(datetime), now() FROM moved GROUP BY cell
)
SELECT count(*) FROM moved;

-- name: forget_split_leaf
-- Sequences no longer have pictures in the leaf itself.
UPDATE sequences SET cells = array_remove(cells, $1) WHERE cells @> ARRAY[$1::bigint];
