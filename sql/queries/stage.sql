-- name: create_stage
-- A lane's own tables, gone with its connection: what was fetched, and what one merge works with.
-- `placed` is the staged pictures with their neighbours among the served ones of their sequence.
CREATE TEMP TABLE IF NOT EXISTS stage (
    cell bigint, h3 bigint, datetime timestamptz, created timestamptz, updated timestamptz, hash bigint,
    sequence integer, rank integer, account integer, camera integer, original_bytes integer, field_of_view real,
    accuracy_m real, pixel_density real, license smallint, azimuth smallint, dictionary smallint, is_360 boolean,
    id uuid, geom geometry(Point, 4326), semantics jsonb, payload bytea, position bigint
);
CREATE TEMP TABLE IF NOT EXISTS kept_back (LIKE stage);
CREATE TEMP TABLE IF NOT EXISTS unserved (id uuid);
CREATE TEMP TABLE IF NOT EXISTS held (
    id uuid, copy smallint, instance smallint, cell bigint, sequence integer, rank integer
);
CREATE TEMP TABLE IF NOT EXISTS kept (id uuid, cell bigint, sequence integer, rank integer);
CREATE TEMP TABLE IF NOT EXISTS flux (
    sign integer, instance smallint, cell bigint, h3 bigint, lattice integer, day date, month date, is_360 boolean,
    served boolean, original_bytes integer, datetime timestamptz, sequence integer
);
CREATE OR REPLACE TEMP VIEW placed AS
SELECT s.*, u.id IS NULL AS served,
       CASE WHEN u.id IS NULL THEN lag(s.id) OVER w END AS prev_id,
       CASE WHEN u.id IS NULL THEN lead(s.id) OVER w END AS next_id,
       CASE WHEN u.id IS NULL THEN lag(s.geom) OVER w END AS prev_geom,
       CASE WHEN u.id IS NULL THEN lead(s.geom) OVER w END AS next_geom
FROM stage s LEFT JOIN unserved u USING (id)
WINDOW w AS (PARTITION BY s.sequence, u.id IS NULL ORDER BY s.rank, s.id);

-- name: empty_stage
TRUNCATE stage, unserved, held, kept, flux;

-- name: empty_kept_back
TRUNCATE kept_back;

-- name: losing_sequences
-- Which of the staged sequences $2 have pictures in the index ($1: their cells) that are not staged: deleted, hidden, or
-- moved to a sequence that is not read yet.
SELECT DISTINCT p.sequence FROM pictures p
WHERE p.cell = ANY($1::bigint[]) AND p.sequence = ANY($2::integer[])
  AND NOT EXISTS (SELECT FROM stage s WHERE s.id = p.id);

-- name: keep_staged_back
WITH moved AS (DELETE FROM stage WHERE sequence = ANY($1::integer[]) RETURNING *)
INSERT INTO kept_back SELECT * FROM moved;

-- name: take_staged_up
WITH moved AS (DELETE FROM kept_back RETURNING *) INSERT INTO stage SELECT * FROM moved;

-- name: forget_staged_sequence
DELETE FROM stage WHERE sequence = $1;

-- name: staged_cells
SELECT DISTINCT h3 FROM stage;

-- name: place_staged
-- The leaf of every staged picture again, after the set of leaves changed.
UPDATE stage SET cell = leaf.cell FROM unnest($1::bigint[], $2::bigint[]) AS leaf (h3, cell) WHERE stage.h3 = leaf.h3;

-- name: drop_staged_twice
-- One id under two sequences: it moved while they were read, and what was read last is true.
DELETE FROM stage older USING stage newer WHERE older.id = newer.id AND older.position < newer.position;

-- name: staged_leaves
SELECT DISTINCT cell FROM stage;

-- name: count_staged
SELECT count(*) FROM stage;
