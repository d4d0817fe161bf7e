-- What is not shown, whoever has it, until an administrator ends it. The rest of taking something out is in merge.sql.

-- name: lock_takedowns
-- As a merge does, then alone: none is half way across, and whoever comes after sees what is written here.
SELECT pg_advisory_xact_lock_shared(lock_key('leaves')), pg_advisory_xact_lock(lock_key('takedowns'));

-- name: become
-- The role of this transaction ($1) and how long its statements may take ($2, in ms); returns what it was before.
SELECT current_setting('role') AS former, current_setting('statement_timeout') AS former_timeout,
       set_config('role', $1, true), set_config('statement_timeout', $2, true);

-- name: become_again
SELECT set_config('role', $1, true), set_config('statement_timeout', $2, true);

-- name: create_taken
-- What is held while it is taken out: `gone` is taken down itself.
CREATE TEMP TABLE taken (
    id uuid, copy smallint, instance smallint, cell bigint, sequence integer, rank integer, gone boolean
) ON COMMIT DROP;

-- name: create_flux
-- As a lane's.
CREATE TEMP TABLE flux (
    sign integer, instance smallint, cell bigint, h3 bigint, lattice integer, day date, month date, is_360 boolean,
    served boolean, original_bytes integer, datetime timestamptz, sequence integer
) ON COMMIT DROP;

-- name: drop_taken
DROP TABLE pg_temp.taken, pg_temp.flux;

-- name: keep_takedown
-- One that stands already is kept as it is.
INSERT INTO takedowns (kind, id, reason, actor) VALUES ($1, $2, $3, $4)
ON CONFLICT (kind, id) WHERE ended_at IS NULL DO UPDATE SET id = excluded.id
RETURNING n, at = now() AS is_new;

-- name: sequences_taken
-- The sequences of an id, or those that have the picture of an id, with their instances.
SELECT s.n, s.instance, s.id, s.state FROM sequences s WHERE $1 = 'sequence' AND s.id = $2
UNION ALL
SELECT s.n, s.instance, s.id, s.state FROM locator l JOIN sequences s ON s.n = l.sequence
WHERE $1 = 'picture' AND l.id = $2
ORDER BY 1;

-- name: hold_taken
-- Lock every copy of every picture involved, in the order of the key: of the picture $2, or of what is in the sequences $4
-- ($3: their cells).
INSERT INTO taken (id, copy, instance, cell, sequence, rank, gone)
SELECT l.id, l.copy, l.instance, l.cell, l.sequence, l.rank, $1 = 'picture' OR l.sequence = ANY($4::integer[])
FROM locator l
WHERE l.id IN (
    SELECT $2::uuid WHERE $1 = 'picture'
    UNION
    SELECT p.id FROM pictures p
    WHERE $1 = 'sequence' AND p.cell = ANY($3::bigint[]) AND p.sequence = ANY($4::integer[])
)
ORDER BY l.id, l.copy
FOR UPDATE OF l;

-- name: taken_cells
SELECT DISTINCT cell FROM taken;

-- name: take_pictures_out
WITH gone AS (
    DELETE FROM pictures p USING taken t
    WHERE p.cell = ANY($1::bigint[]) AND t.gone
      AND p.cell = t.cell AND p.sequence = t.sequence AND p.rank = t.rank AND p.id = t.id
    RETURNING p.*
)
INSERT INTO flux (sign, instance, cell, h3, lattice, day, month, is_360, served, original_bytes, datetime, sequence)
SELECT -1, instance, cell, h3, lattice_of(geom), datetime::date, date_trunc('month', coalesce(created, datetime)),
       is_360, served, original_bytes, datetime, sequence
FROM gone;

-- name: take_locations_out
DELETE FROM locator l USING taken t WHERE t.gone AND l.id = t.id AND l.copy = t.copy;

-- name: promote_others
-- Pictures of a sequence that is taken down, which another instance has in a sequence of another id: that copy is shown.
UPDATE locator l SET copy = 0
FROM (
    SELECT DISTINCT ON (t.id) t.id, t.copy FROM taken t
    WHERE NOT t.gone AND EXISTS (SELECT FROM taken g WHERE g.id = t.id AND g.gone AND g.copy = 0)
    ORDER BY t.id, t.copy
) next
WHERE l.id = next.id AND l.copy = next.copy
RETURNING l.id, l.cell, l.sequence, l.rank;

-- name: recall_taken
-- Files that have it are not served any more.
INSERT INTO recalls (cells) SELECT array_agg(DISTINCT cell) FROM taken WHERE gone HAVING count(*) > 0;

-- name: forget_taken
-- What else is known of it: refused records of that id, and that it is to be read again.
WITH unquarantined AS (
    DELETE FROM quarantine WHERE $1 = 'picture' AND id = $2::uuid::text OR $1 = 'sequence' AND sequence = $2::uuid
), unfollowed AS (
    DELETE FROM followups WHERE $1 = 'sequence' AND sequence = $2::uuid
)
DELETE FROM retries WHERE $1 = 'sequence' AND sequence = $2::uuid;

-- name: keep_takedown_copies
INSERT INTO takedown_copies (takedown, instance, sequence)
SELECT $1::integer, s.instance, s.id FROM sequences s WHERE s.n = ANY($2::integer[]) ORDER BY 2, 3
ON CONFLICT DO NOTHING;

-- name: withhold_sequences
-- Of these sequences ($1), staged by instance $2, those that are taken down: what is staged of them goes.
WITH found AS (
    SELECT s.n, s.id, t.n AS takedown
    FROM sequences s JOIN takedowns t ON t.kind = 'sequence' AND t.id = s.id AND t.ended_at IS NULL
    WHERE s.n = ANY($1::integer[])
), noted AS (
    INSERT INTO takedown_copies (takedown, instance, sequence) SELECT takedown, $2::smallint, id FROM found
    ON CONFLICT DO NOTHING
), dropped AS (
    DELETE FROM stage WHERE sequence IN (SELECT n FROM found)
)
SELECT n FROM found;

-- name: withhold_pictures
-- The same of single pictures.
WITH dropped AS (
    DELETE FROM stage p USING takedowns t
    WHERE t.kind = 'picture' AND t.id = p.id AND t.ended_at IS NULL
    RETURNING t.n AS takedown, p.sequence
)
INSERT INTO takedown_copies (takedown, instance, sequence)
SELECT DISTINCT d.takedown, $1::smallint, s.id FROM dropped d JOIN sequences s ON s.n = d.sequence
ON CONFLICT DO NOTHING;

-- name: end_takedown
UPDATE takedowns SET ended_at = now(), ended_by = $2 WHERE n = $1 AND ended_at IS NULL RETURNING kind, id;

-- name: read_taken_again
-- Who has a copy is visited now, and reads its sequence again: one that is there among what is due, one that went by asking
-- for it.
WITH copies AS (
    DELETE FROM takedown_copies WHERE takedown = $1 RETURNING instance, sequence
), rechecked AS (
    UPDATE sequences s SET checked_at = NULL FROM copies c
    WHERE s.instance = c.instance AND s.id = c.sequence AND s.state = 'merged'
), followed AS (
    INSERT INTO followups (instance, sequence, next_at)
    SELECT c.instance, c.sequence, now() FROM copies c JOIN instances i ON i.n = c.instance
    WHERE i.state NOT IN ('leaving', 'left')
      AND NOT EXISTS (SELECT FROM sequences s WHERE s.instance = c.instance AND s.id = c.sequence AND s.state = 'merged')
    ON CONFLICT (instance, sequence) DO UPDATE SET next_at = now()
)
UPDATE instances i SET next_visit_at = now() WHERE i.state = 'enabled' AND i.n IN (SELECT instance FROM copies);

-- name: list_takedowns
-- The last made first; `copies` are the instances that have or brought one.
SELECT t.n, t.kind, t.id, t.reason, t.actor, t.at, t.ended_at, t.ended_by,
       ARRAY(SELECT DISTINCT i.name FROM takedown_copies c JOIN instances i ON i.n = c.instance
             WHERE c.takedown = t.n ORDER BY i.name) AS copies
FROM takedowns t ORDER BY t.n DESC;
