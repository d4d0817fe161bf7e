-- What operators and administrators do with an instance, and what they are shown of it.

-- name: lock_instance
-- One act at a time.
SELECT n, id, name, url, state, state_reason, source, operator_paused, requests_per_s, concurrency, cadence_s,
       quiet_hours, asset_hosts, contact, recheck_before, now() AS at
FROM instances WHERE n = $1 FOR UPDATE;

-- name: pause_instance
UPDATE instances SET state = 'paused', state_reason = $2, operator_paused = $3 WHERE n = $1;

-- name: change_politeness
UPDATE instances SET requests_per_s = $2, concurrency = $3, cadence_s = $4, quiet_hours = $5, contact = $6,
       next_visit_at = CASE WHEN cadence_s IS DISTINCT FROM $4::real THEN least(next_visit_at, now()) ELSE next_visit_at END
WHERE n = $1;

-- name: confirm_hosts
UPDATE instances SET asset_hosts = $2 WHERE n = $1;

-- name: reconcile_instance
-- Everything is read again, at the pace of reconciliation, and listed wholly with the next visit, which is due now.
UPDATE instances SET recheck_before = now(), listed_at = NULL, next_visit_at = least(next_visit_at, now()),
       pinged_at = now()
WHERE n = $1;

-- name: others_at
-- Another instance at this address.
SELECT name FROM instances WHERE url = $2 AND n <> $1 LIMIT 1;

-- name: instances_to_act_on
-- All of them, or the one of this name or id, with what is held and what waits, for who may act on them.
SELECT i.n, i.id, i.name, i.url, i.state, i.state_reason, i.source, i.operator_paused, i.requests_per_s, i.concurrency,
       i.cadence_s, i.quiet_hours, i.asset_hosts, i.contact, i.version, i.registered_at, i.last_attempt_at, i.last_success_at,
       i.last_change_at, i.next_visit_at, i.failures, i.last_error, i.absence_decided, i.recheck_before,
       coalesce(p.open_until > now(), false) AS cut_off,
       coalesce(s.sequences, 0) AS sequences, coalesce(s.pictures, 0) AS pictures,
       (SELECT count(*) FROM retries r WHERE r.instance = i.n) AS retries,
       (SELECT count(*) FROM quarantine q WHERE q.instance = i.n) AS quarantined,
       CASE WHEN i.recheck_before IS NULL THEN 0 ELSE coalesce(s.to_recheck, 0) END AS to_recheck,
       now() AS at
FROM instances i
LEFT JOIN paces p ON p.instance = i.n
LEFT JOIN (
    -- one look at the sequences, whether of one instance or of all
    SELECT q.instance, count(*) AS sequences, sum(q.pictures)::bigint AS pictures,
           count(*) FILTER (WHERE q.checked_at IS NULL OR q.checked_at < r.recheck_before) AS to_recheck
    FROM sequences q JOIN instances r ON r.n = q.instance
    WHERE q.state = 'merged' AND ($1::text IS NULL OR r.name = $1 OR r.id = $1)
    GROUP BY q.instance
) s ON s.instance = i.n
WHERE $1::text IS NULL OR i.name = $1 OR i.id = $1
ORDER BY i.name IS DISTINCT FROM $1, i.name;

-- name: instance_names
SELECT n, name, state, source, asset_hosts FROM instances ORDER BY name;

-- name: runs_of_instance
SELECT n, started_at, ended_at, outcome, phase, sequences_seen, sequences_changed, sequences_removed, sequences_failed,
       sequences_expected, sequences_reconciled, pictures_seen, pictures_changed, pictures_removed,
       pictures_quarantined, pictures_not_public, requests, received_bytes, last_error, last_error_url
FROM runs WHERE instance = $1 AND ($2::bigint IS NULL OR n < $2) ORDER BY n DESC LIMIT $3;

-- name: errors_of_instance
-- Sequences that could not be merged, the next to be tried first.
SELECT coalesce(s.origin_id, r.sequence::text) AS sequence, r.attempts, r.since, r.next_at, r.error, r.url
FROM retries r LEFT JOIN sequences s ON s.instance = r.instance AND s.id = r.sequence
WHERE r.instance = $1 ORDER BY r.next_at, r.sequence LIMIT $2;

-- name: quarantine_of_instance
-- Records that were not accepted, the latest first; `body` is the beginning of what the instance sent.
SELECT q.id, coalesce(s.origin_id, q.sequence::text) AS sequence, q.field, q.problem, q.at, q.body
FROM quarantine q LEFT JOIN sequences s ON s.instance = q.instance AND s.id = q.sequence
WHERE q.instance = $1 ORDER BY q.at DESC, q.id LIMIT $2;

-- name: events_for_people
-- The audit log, newest first: of one instance ($1) or all, before an entry ($2), of one kind ($3).
SELECT e.n, e.at, e.kind, i.name AS instance, e.subject, e.actor, e.public, e.details
FROM events e LEFT JOIN instances i ON i.n = e.instance
WHERE ($1::smallint IS NULL OR e.instance = $1) AND ($2::bigint IS NULL OR e.n < $2) AND ($3 = '' OR e.kind = $3)
ORDER BY e.n DESC LIMIT $4;

-- name: samples_of_checks
-- What the steps that look at pictures saw, for who decides about a registration.
SELECT c.id, s.findings FROM checks c JOIN check_steps s ON s.n = c.n
WHERE c.id = ANY($1::uuid[]) AND s.name IN ('pictures', 'thumbnail', 'assets') ORDER BY c.n, s.step;
