-- What every day of an instance was like: noted by each visit as it ends, and counted now and then.

-- name: note_visit
-- A visit of $1 ended, by the run $2: whether it answered $3, what it cost ($4 requests, $5 seconds of answering, $6 the
-- longest, $7 bytes), what it brought ($8 changed, $9 removed, $10 put aside), its error $11. The time since the visit
-- before counts as that one found the instance, as long as that was believed: until the next visit was planned, and $12.
-- $13: until when its certificate holds. $14: when the next visit is expected. Nothing when the run was replaced.
WITH mine AS (
    SELECT n, next_visit_at FROM instances WHERE n = $1::smallint AND run = $2
), before AS (
    SELECT answered, looked_at, least(now(), believed_until) AS until
    FROM health WHERE instance = $1::smallint AND answered IS NOT NULL AND looked_at < least(now(), believed_until)
), parts AS (
    SELECT d::date AS day, 0 AS visits, 0 AS failures,
           extract(epoch FROM least(d + interval '1 day', b.until) - greatest(d, b.looked_at))::float8 AS seconds, b.answered
    FROM before b, generate_series(date_trunc('day', b.looked_at), b.until, interval '1 day') AS d
    UNION ALL
    SELECT now()::date, $3::boolean::integer, (NOT $3::boolean)::integer, 0, NULL
), summed AS (
    SELECT day, sum(visits) AS visits, sum(failures) AS failures,
           coalesce(sum(seconds) FILTER (WHERE answered), 0) AS up_s,
           coalesce(sum(seconds) FILTER (WHERE NOT answered), 0) AS down_s
    FROM parts GROUP BY day
), noted AS (
    INSERT INTO days AS d (instance, day, visits, failures, up_s, down_s, requests, answering_s, slowest_s,
                           received_bytes, pictures_changed, pictures_removed, pictures_quarantined, last_error)
    SELECT mine.n, s.day, s.visits, s.failures, s.up_s, s.down_s,
           now.requests, now.answering_s, now.slowest_s, now.bytes, now.changed, now.removed, now.quarantined, now.error
    FROM mine, summed s
    CROSS JOIN LATERAL (
        SELECT CASE WHEN today THEN $4::bigint ELSE 0 END AS requests, CASE WHEN today THEN $5::float8 ELSE 0 END AS answering_s,
               CASE WHEN today THEN $6::float8 ELSE 0 END AS slowest_s, CASE WHEN today THEN $7::bigint ELSE 0 END AS bytes,
               CASE WHEN today THEN $8::bigint ELSE 0 END AS changed, CASE WHEN today THEN $9::bigint ELSE 0 END AS removed,
               CASE WHEN today THEN $10::bigint ELSE 0 END AS quarantined, CASE WHEN today THEN $11 ELSE '' END AS error
        FROM (SELECT s.visits + s.failures > 0 AS today) AS t
    ) AS now
    ON CONFLICT (instance, day) DO UPDATE SET
        visits = d.visits + excluded.visits, failures = d.failures + excluded.failures,
        up_s = d.up_s + excluded.up_s, down_s = d.down_s + excluded.down_s,
        requests = d.requests + excluded.requests, answering_s = d.answering_s + excluded.answering_s,
        slowest_s = greatest(d.slowest_s, excluded.slowest_s), received_bytes = d.received_bytes + excluded.received_bytes,
        pictures_changed = d.pictures_changed + excluded.pictures_changed,
        pictures_removed = d.pictures_removed + excluded.pictures_removed,
        pictures_quarantined = d.pictures_quarantined + excluded.pictures_quarantined,
        last_error = CASE WHEN excluded.last_error = '' THEN d.last_error ELSE excluded.last_error END
)
INSERT INTO health AS h (instance, answered, looked_at, believed_until, expected_at, certificate_until)
SELECT mine.n, $3, now(), mine.next_visit_at + $12::interval, $14::timestamptz, $13::timestamptz FROM mine
ON CONFLICT (instance) DO UPDATE SET
    answered = excluded.answered, looked_at = excluded.looked_at, believed_until = excluded.believed_until,
    expected_at = coalesce(excluded.expected_at, h.expected_at),
    certificate_until = coalesce(excluded.certificate_until, h.certificate_until);

-- name: must_count
-- Whether what is held changed since it was last counted, or is changing, or the day did.
SELECT EXISTS (
    SELECT FROM instances i LEFT JOIN health h ON h.instance = i.n
    WHERE i.last_success_at IS NOT NULL
      AND (h.counted_at IS NULL OR h.counted_at < i.last_change_at OR h.counted_at::date < now()::date)
) OR EXISTS (SELECT FROM runs WHERE outcome = 'running' AND pictures_changed > 0);

-- name: count_held
-- What is held of every instance now, as today's figures.
WITH held AS (
    SELECT s.instance, sum(s.pictures)::bigint AS pictures, sum(s.pictures_360)::bigint AS pictures_360,
           count(*) FILTER (WHERE s.pictures > 0) AS sequences, sum(s.length_m) AS length_m,
           count(DISTINCT s.account) AS contributors
    FROM sequences s WHERE s.served GROUP BY s.instance
), counted AS (
    INSERT INTO days AS d (instance, day, pictures, pictures_360, sequences, length_m, contributors,
                           quarantined)
    SELECT i.n, now()::date, coalesce(h.pictures, 0), coalesce(h.pictures_360, 0), coalesce(h.sequences, 0),
           coalesce(h.length_m, 0), coalesce(h.contributors, 0),
           (SELECT count(*) FROM quarantine q WHERE q.instance = i.n)
    FROM instances i LEFT JOIN held h ON h.instance = i.n
    WHERE i.last_success_at IS NOT NULL OR h.instance IS NOT NULL
    ON CONFLICT (instance, day) DO UPDATE SET
        pictures = excluded.pictures, pictures_360 = excluded.pictures_360, sequences = excluded.sequences,
        length_m = excluded.length_m, contributors = excluded.contributors, quarantined = excluded.quarantined
    RETURNING instance
)
INSERT INTO health (instance, counted_at) SELECT instance, now() FROM counted
ON CONFLICT (instance) DO UPDATE SET counted_at = excluded.counted_at;

-- name: purge_days
WITH gone AS (DELETE FROM days WHERE day < (now() - $1::interval)::date RETURNING 1) SELECT count(*) FROM gone;
