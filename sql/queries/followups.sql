-- Sequences that are asked for once more, and how fresh the index is.

-- name: due_again
-- Those whose time has come: reading them failed, or some of their pictures were still being prepared.
SELECT coalesce(s.origin_id, due.sequence::text) AS id
FROM (
    SELECT sequence, min(next_at) AS next_at
    FROM (
        SELECT sequence, next_at FROM retries WHERE instance = $1 AND next_at <= now()
        UNION ALL
        SELECT f.sequence, f.next_at FROM followups f
        WHERE f.instance = $1 AND f.next_at <= now()
          AND NOT EXISTS (SELECT FROM retries r WHERE r.instance = f.instance AND r.sequence = f.sequence)
    ) waiting GROUP BY sequence ORDER BY min(next_at) LIMIT $2
) due LEFT JOIN sequences s ON s.id = due.sequence AND s.instance = $1
ORDER BY due.next_at;

-- name: drop_again
-- A sequence that is gone needs no further try.
WITH followed AS (
    DELETE FROM followups WHERE instance = $1 AND sequence = $2
        AND EXISTS (SELECT FROM instances WHERE n = $1 AND run = $3)
)
DELETE FROM retries WHERE instance = $1 AND sequence = $2
    AND EXISTS (SELECT FROM instances WHERE n = $1 AND run = $3);

-- name: keep_followups
-- Ask again, each time after a longer delay ($3, in seconds); one that was read before its time keeps it.
INSERT INTO followups (instance, sequence, next_at)
SELECT $1::smallint, late.sequence, now() + ($3::float8[])[1] * interval '1 second'
FROM unnest($2::uuid[]) AS late (sequence) ORDER BY late.sequence
ON CONFLICT (instance, sequence) DO UPDATE
SET attempts = followups.attempts + (followups.next_at <= now())::integer,
    next_at = CASE WHEN followups.next_at > now() THEN followups.next_at
                   ELSE now() + ($3::float8[])[least(followups.attempts + 1, cardinality($3::float8[]))] * interval '1 second'
              END;

-- name: drop_followups
-- Everything they were to have is there.
DELETE FROM followups WHERE instance = $1 AND sequence = ANY($2::uuid[]);

-- name: note_freshness
-- $2: when the origin changed each sequence, $3: upper bounds of the buckets in seconds, the last for all beyond.
INSERT INTO freshness (instance, day, le_s, changes)
SELECT $1::smallint, (now() AT TIME ZONE 'UTC')::date, bucket.le_s, count(*)
FROM unnest($2::timestamptz[]) AS change (updated)
CROSS JOIN LATERAL (
    SELECT min(le_s) AS le_s FROM unnest($3::integer[]) AS bound (le_s)
    WHERE le_s >= least(extract(epoch FROM clock_timestamp() - updated), 2147483647)
) bucket
GROUP BY bucket.le_s ORDER BY bucket.le_s
ON CONFLICT (instance, day, le_s) DO UPDATE SET changes = freshness.changes + excluded.changes;
