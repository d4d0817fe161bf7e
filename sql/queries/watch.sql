-- The state of every instance, as people are told it, and the events that its changes are.

-- name: lock_health
-- One process at a time judges; the number only has to differ from other advisory locks.
SELECT pg_advisory_xact_lock(7340031);

-- name: instance_states
-- What each is now (`judged`) and what was last told (`told`). $1: late so long after its next visit was expected; $2:
-- failing after so many failures in a row; $3: a visit gave a sign of life within this; $4: nobody was late before this,
-- since nobody visited anything.
SELECT i.n, i.id, i.name, i.state_reason, i.last_error, i.failures, i.last_success_at, i.quiet_hours,
       coalesce(h.state, '') AS told, h.since, h.resumed_at,
       CASE WHEN i.state <> 'enabled' THEN i.state
            WHEN i.failures >= $2::integer THEN 'failing'
            WHEN i.last_success_at IS NULL THEN 'new'
            WHEN now() > greatest(coalesce(h.expected_at, i.next_visit_at), h.resumed_at, $4::timestamptz) + $1::interval
                 AND NOT (i.failures = 0 AND coalesce(r.outcome = 'running' AND r.alive_at > now() - $3::interval, false))
            THEN 'late' ELSE 'fresh' END AS judged
FROM instances i LEFT JOIN health h ON h.instance = i.n LEFT JOIN runs r ON r.n = i.run
ORDER BY i.n;

-- name: tell_state
-- $3: the time since which it is visited again, or null where it was not stopped.
INSERT INTO health AS h (instance, state, since, resumed_at) VALUES ($1, $2, now(), $3)
ON CONFLICT (instance) DO UPDATE SET state = excluded.state, since = excluded.since,
    resumed_at = coalesce(excluded.resumed_at, h.resumed_at);

-- name: has_event
-- Whether this was noted of it since $3 (null: ever), by whoever did it.
SELECT EXISTS (SELECT FROM events WHERE instance = $1 AND kind = $2 AND ($3::timestamptz IS NULL OR at >= $3));
