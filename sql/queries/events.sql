-- What happened: written by whoever makes it happen, in the transaction in which it does.

-- name: note_event
INSERT INTO events (kind, instance, subject, actor, public, details) VALUES ($1, $2, $3, $4, $5, $6);

-- name: purge_events
WITH gone AS (DELETE FROM events WHERE at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;
