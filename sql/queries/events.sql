-- What happened: written by whoever makes it happen, in the transaction in which it does.

-- name: note_event
INSERT INTO events (kind, instance, subject, actor, public, details) VALUES ($1, $2, $3, $4, $5, $6);

-- name: purge_events
WITH gone AS (DELETE FROM events WHERE at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;

-- name: public_events
-- What everybody may know, the latest first: of the instance $1 or of all (null), before number $2 (null: from the end),
-- at most $3. An instance that has left has no page (no id here), and no name but that in the event's details.
SELECT e.n, e.at, e.kind, e.subject, e.details, i.id, i.name
FROM public_events e LEFT JOIN instances i ON i.n = e.instance AND i.state <> 'left'
WHERE ($1::smallint IS NULL OR e.instance = $1) AND ($2::bigint IS NULL OR e.n < $2)
ORDER BY e.n DESC LIMIT $3;

-- name: instance_that_left
-- The number of the instance that left last of those that had this name or id.
SELECT instance FROM public_events
WHERE kind = 'left' AND instance IS NOT NULL
    AND (details->>'name' = $1 OR instance IN (SELECT n FROM instances WHERE id = $1))
ORDER BY n DESC LIMIT 1;

-- name: latest_public_event
SELECT coalesce(max(n), 0) AS n FROM public_events;
