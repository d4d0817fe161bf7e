-- What bench/history.py writes one by one; the rest it copies.

-- name: instance
INSERT INTO instances (id, name, url, state, configuration, last_success_at, failures, last_error, next_visit_at, state_reason,
                       registered_at, configuration_at, version, last_attempt_at, last_change_at)
VALUES ($1::text, $1::text, $2, $3, $4::jsonb, $5::timestamptz, $6, $7, $8, $9, $10, now(), '2.15.1', now(), $5)
RETURNING n;
-- name: health
INSERT INTO health (instance, state, since, answered, looked_at, believed_until, expected_at, certificate_until, counted_at)
VALUES ($1, $2, $3, true, $5, now() + interval '1 hour', now() + interval '1 hour', $4, now());
-- name: latest_run
UPDATE instances SET run = coalesce((SELECT max(n) FROM runs WHERE instance = $1::smallint), 0) WHERE n = $1::smallint;
-- name: sequence
INSERT INTO sequences (id, instance, state, served, title, license, pictures, pictures_360, length_m, datetime_min, datetime_max)
VALUES ($1, $2, 'merged', true, 'everything', 'etalab-2.0', $3::integer, $3::integer * 2 / 5, $3::integer * 4.2,
        now() - interval '900 days', now());
-- name: event
INSERT INTO events (at, kind, instance, actor, public, details) VALUES ($1, $2, $3, 'harvester', true, $4::jsonb);
