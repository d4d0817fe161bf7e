-- Checks of instances' APIs: asked for by visitors and registrations, done by workers, shown as they go on.

-- name: lock_place
SELECT pg_advisory_xact_lock(7340024, hashtext($1));

-- name: find_check
-- The check of a place that is open, else the last one of this kind that is not older than $3.
SELECT id, registration, ended_at FROM checks
WHERE place = $1 AND (ended_at IS NULL OR (kind = $2 AND outcome <> 'broken' AND ended_at > now() - $3::interval))
ORDER BY ended_at IS NULL DESC, n DESC LIMIT 1;

-- name: count_checks
-- How many visitors asked for within an hour.
SELECT count(*) FROM checks WHERE asked_at > now() - interval '1 hour' AND registration IS NULL;

-- name: add_check
INSERT INTO checks (kind, url, place, registration) VALUES ($1, $2, $3, $4) RETURNING id;

-- name: read_check
SELECT c.n, c.id, c.kind, c.url, c.registration, c.asked_at, c.started_at, c.ended_at, c.outcome,
       CASE WHEN c.started_at IS NULL AND c.ended_at IS NULL
            THEN extract(epoch FROM now() - c.asked_at)::float8 ELSE 0.0 END AS waiting_s,
       coalesce((SELECT json_agg(s ORDER BY s.step)
                 FROM (SELECT step, name, state, findings FROM check_steps WHERE n = c.n) s), '[]')::text AS steps
FROM checks c WHERE c.id = $1;

-- name: waiting_checks
-- What there is to do. One that was begun $1 times and never ended, though $2 have passed, kills its worker, or its worker
-- is stopped each time. No more than $3 at a time, those of registrations first, so that visits find workers too.
WITH broken AS (
    UPDATE checks SET ended_at = now(), outcome = 'broken'
    WHERE ended_at IS NULL AND attempt >= $1 AND started_at < now() - $2::interval
)
SELECT n FROM checks WHERE ended_at IS NULL AND attempt < $1 ORDER BY registration IS NULL, n LIMIT $3;

-- name: begin_check
UPDATE checks SET attempt = attempt + 1, started_at = now() WHERE n = $1 AND ended_at IS NULL
RETURNING n, attempt, kind, url, place, registration;

-- name: forget_steps
DELETE FROM check_steps WHERE n = $1;

-- name: write_step
INSERT INTO check_steps (n, step, name, state, findings)
SELECT n, $3, $4, $5, $6::jsonb FROM checks WHERE n = $1::bigint AND attempt = $2 AND ended_at IS NULL
ON CONFLICT (n, step) DO UPDATE
SET state = excluded.state, findings = excluded.findings,
    ended_at = CASE WHEN excluded.state = 'running' THEN NULL ELSE now() END
RETURNING step;

-- name: end_check
UPDATE checks SET ended_at = now(), outcome = $3 WHERE n = $1 AND attempt = $2 AND ended_at IS NULL RETURNING n;

-- name: known_addresses
-- Who is known already, by name and address; the place of one that has left is free.
SELECT n, id, name, url, asset_hosts, state = 'left' AS has_left FROM instances;

-- name: holders_of_sequences
-- The instances that hold these sequences already, but for one.
SELECT i.name, i.url, count(*) AS sequences
FROM sequences s JOIN instances i ON i.n = s.instance
WHERE s.id = ANY($1::uuid[]) AND s.state <> 'removed' AND i.n IS DISTINCT FROM $2::smallint
GROUP BY i.n ORDER BY count(*) DESC, i.name;

-- name: registration_to_check
SELECT proof, blurring, coalesce(instance, moves) AS own, state = 'approved' AS approved FROM registrations WHERE n = $1;

-- name: purge_checks
-- Those of a registration go with it.
WITH gone AS (
    DELETE FROM checks WHERE registration IS NULL AND ended_at < now() - $1::interval RETURNING 1
)
SELECT count(*) FROM gone;
