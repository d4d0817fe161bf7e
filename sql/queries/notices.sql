-- What waits to be told by a channel. A row goes once it is told; taking it already says when it would be tried again, so
-- that whoever dies in between is followed by somebody else.

-- name: drop_unwanted_notices
-- Kinds of events that nobody asked for on this channel: all of them where $2 is empty.
DELETE FROM notices n USING events e
WHERE n.channel = $1 AND e.n = n.event AND NOT e.kind = ANY($2::text[]);

-- name: take_notice
-- The oldest of the channel $1 that is due, out of others' hands for $2, twice that with every attempt, $3 at most.
WITH due AS (
    SELECT event, channel FROM notices WHERE channel = $1 AND next_at <= now() ORDER BY event LIMIT 1
    FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE notices n
    SET attempts = n.attempts + 1,
        next_at = now() + least($3::interval, $2::interval * 2 ^ least(n.attempts, 20))
    FROM due WHERE n.event = due.event AND n.channel = due.channel
    RETURNING n.event, n.attempts
)
SELECT e.n, e.at, e.kind, e.subject, e.actor, e.public, e.details, i.id, t.attempts,
       -- one that has left has given its name up: the event knows it
       CASE WHEN i.state = 'left' THEN coalesce(e.details->>'name', i.name) ELSE i.name END AS name
FROM taken t JOIN events e ON e.n = t.event LEFT JOIN instances i ON i.n = e.instance;

-- name: notice_told
DELETE FROM notices WHERE event = $1 AND channel = $2;

-- name: notice_failed
UPDATE notices SET last_error = $3 WHERE event = $1 AND channel = $2;

-- name: purge_notices
-- Nobody wants to hear of it any more.
WITH gone AS (
    DELETE FROM notices n USING events e WHERE e.n = n.event AND e.at < now() - $1::interval RETURNING 1
)
SELECT count(*) FROM gone;

-- name: waiting_notices
SELECT channel, count(*) AS notices, coalesce(max(attempts), 0) AS attempts FROM notices GROUP BY channel;
