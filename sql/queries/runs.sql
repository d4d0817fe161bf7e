-- What people are told of visits and of what they left behind.

-- name: latest_runs
SELECT r.n, i.name, r.started_at, extract(epoch FROM coalesce(r.ended_at, now()) - r.started_at)::float8 AS seconds,
       r.outcome, r.phase, r.sequences_seen, r.sequences_expected, r.sequences_changed, r.sequences_removed,
       r.sequences_reconciled, r.sequences_failed, r.pictures_seen, r.pictures_expected, r.pictures_changed,
       r.pictures_removed, r.pictures_quarantined, r.requests, r.received_bytes,
       r.accounts_renamed, r.terms_changed, r.last_error, r.last_error_url, r.worker
FROM runs r JOIN instances i ON i.n = r.instance
WHERE ($1 = '' OR i.name = $1)
  AND ($3 OR r.outcome NOT IN ('done', 'partial') OR r.sequences_failed + r.pictures_quarantined > 0
       OR r.sequences_changed + r.sequences_removed + r.sequences_reconciled + r.accounts_renamed
       + r.terms_changed > 0)
ORDER BY r.n DESC LIMIT $2;

-- name: waiting_retries
-- Sequences of an instance that could not be merged, the next to be tried first.
SELECT coalesce(s.origin_id, r.sequence::text) AS sequence, r.attempts, r.since, r.next_at, r.error, r.url
FROM retries r JOIN instances i ON i.n = r.instance
LEFT JOIN sequences s ON s.instance = r.instance AND s.id = r.sequence
WHERE i.name = $1 ORDER BY r.next_at LIMIT $2;

-- name: waiting_followups
SELECT count(*) AS sequences, min(f.next_at) AS next_at
FROM followups f JOIN instances i ON i.n = f.instance WHERE i.name = $1;

-- name: quarantine_reasons
-- What was refused of an instance's records, by reason, with one example.
SELECT q.field, q.problem, count(*) AS records, max(q.at) AS latest,
       (array_agg(q.id ORDER BY q.at DESC))[1] AS example
FROM quarantine q JOIN instances i ON i.n = q.instance
WHERE i.name = $1 GROUP BY q.field, q.problem ORDER BY count(*) DESC, q.field LIMIT $2;
