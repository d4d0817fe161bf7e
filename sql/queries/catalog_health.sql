-- What the catalog tells of how the instances are and were, and of what is being read now.

-- name: catalog_days
-- The days of every instance, or of $2, that began within the last $1 days, the oldest first.
SELECT instance, day, visits, failures, up_s, down_s, requests, answering_s, slowest_s, received_bytes, pictures_changed,
       pictures_removed, pictures_quarantined, last_error, pictures, pictures_360, sequences, length_m, contributors,
       quarantined
FROM days WHERE day > now()::date - $1::integer AND ($2::smallint IS NULL OR instance = $2)
ORDER BY instance, day;

-- name: catalog_health
-- What the last visit of every instance left behind, besides its days.
SELECT instance, since, answered, looked_at, expected_at, certificate_until FROM health;

-- name: catalog_running
-- Visits under way: those that gave a sign of life within $1.
SELECT r.n, r.instance, r.started_at, r.alive_at, r.ended_at, r.phase, r.outcome, r.sequences_seen, r.sequences_changed,
       r.sequences_removed, r.sequences_failed, r.sequences_expected, r.sequences_reconciled, r.pictures_seen,
       r.pictures_changed, r.pictures_removed, r.pictures_quarantined, r.pictures_expected, r.requests, r.received_bytes,
       r.last_error, i.id, i.name, clock_timestamp() AS at
FROM runs r JOIN instances i ON i.n = r.instance
WHERE r.outcome = 'running' AND r.alive_at > now() - $1::interval
ORDER BY r.started_at, r.n;

-- name: catalog_runs
-- The latest visits of an instance that changed something or met a fault, those of number $2 and later left out (null:
-- none); $3: at most.
SELECT r.n, r.instance, r.started_at, r.alive_at, r.ended_at, r.phase, r.outcome, r.sequences_seen, r.sequences_changed,
       r.sequences_removed, r.sequences_failed, r.sequences_expected, r.sequences_reconciled, r.pictures_seen,
       r.pictures_changed, r.pictures_removed, r.pictures_quarantined, r.pictures_expected, r.requests, r.received_bytes,
       r.last_error, i.id, i.name, clock_timestamp() AS at
FROM runs r JOIN instances i ON i.n = r.instance
WHERE r.instance = $1 AND ($2::bigint IS NULL OR r.n < $2)
  AND (r.outcome NOT IN ('done', 'partial') OR r.sequences_changed + r.sequences_removed + r.sequences_reconciled
       + r.sequences_failed + r.accounts_renamed + r.terms_changed + r.pictures_quarantined > 0)
ORDER BY r.n DESC LIMIT $3;

-- name: catalog_run
SELECT r.n, r.instance, r.started_at, r.alive_at, r.ended_at, r.phase, r.outcome, r.sequences_seen, r.sequences_changed,
       r.sequences_removed, r.sequences_failed, r.sequences_expected, r.sequences_reconciled, r.pictures_seen,
       r.pictures_changed, r.pictures_removed, r.pictures_quarantined, r.pictures_expected, r.requests, r.received_bytes,
       r.last_error, i.id, i.name, clock_timestamp() AS at
FROM runs r JOIN instances i ON i.n = r.instance WHERE r.n = $1;

-- name: catalog_covered
-- Hexagons with pictures of the instance $3, or of all (null), in spans of cells from $1 to $2; what is folded and what
-- is not. Those of an instance that is leaving are left out.
SELECT cell, sum(pictures)::bigint AS pictures
FROM (
    SELECT c.cell, c.instance, c.pictures
    FROM unnest($1::bigint[], $2::bigint[]) AS s (low, high) JOIN cell_counts c ON c.cell BETWEEN s.low AND s.high
    UNION ALL
    SELECT d.cell, d.instance, d.pictures
    FROM unnest($1::bigint[], $2::bigint[]) AS s (low, high) JOIN count_deltas d ON d.cell BETWEEN s.low AND s.high
) AS folded_and_not
WHERE ($3::smallint IS NULL OR instance = $3) AND instance <> ALL ((SELECT hidden FROM leaf_set)::smallint[])
GROUP BY cell HAVING sum(pictures) > 0 ORDER BY cell;

-- name: metrics_health
-- What the days of every instance say together, for those who watch by numbers.
SELECT i.id, extract(epoch FROM h.certificate_until)::float8 AS certificate_until, d.up_1, d.up_7, d.up_90,
       d.answering_s / nullif(d.requests, 0) AS latency_s, d.slowest_s,
       d.failures::float8 / nullif(d.visits + d.failures, 0) AS error_rate,
       held.pictures, held.pictures_360, held.sequences, held.length_m, held.contributors, held.quarantined
FROM instances i
LEFT JOIN health h ON h.instance = i.n
LEFT JOIN LATERAL (
    SELECT sum(up_s) FILTER (WHERE day = now()::date) / nullif(sum(up_s + down_s) FILTER (WHERE day = now()::date), 0) AS up_1,
           sum(up_s) FILTER (WHERE day > now()::date - 7) / nullif(sum(up_s + down_s) FILTER (WHERE day > now()::date - 7), 0) AS up_7,
           sum(up_s) / nullif(sum(up_s + down_s), 0) AS up_90,
           sum(requests) FILTER (WHERE day > now()::date - 2) AS requests,
           sum(answering_s) FILTER (WHERE day > now()::date - 2) AS answering_s,
           max(slowest_s) FILTER (WHERE day > now()::date - 2) AS slowest_s,
           sum(visits) FILTER (WHERE day > now()::date - 2) AS visits,
           sum(failures) FILTER (WHERE day > now()::date - 2) AS failures
    FROM days WHERE instance = i.n AND day > now()::date - 90
) d ON true
LEFT JOIN LATERAL (
    SELECT pictures, pictures_360, sequences, length_m, contributors, quarantined
    FROM days WHERE instance = i.n AND pictures IS NOT NULL ORDER BY day DESC LIMIT 1
) held ON true
ORDER BY i.id;

-- name: metrics_events
-- Events that are kept, by kind.
SELECT kind, count(*) AS events FROM public_events GROUP BY kind ORDER BY kind;
