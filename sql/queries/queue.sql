-- The work queue, besides what its library does by itself; see harvester/queue.py.

-- name: purge_finished_jobs
-- The log of what was done; sums of it stay in pgqueuer_statistics for as long.
WITH gone AS (DELETE FROM queue.pgqueuer_log WHERE created < now() - $1::interval RETURNING 1),
     sums AS (DELETE FROM queue.pgqueuer_statistics WHERE created < now() - $1::interval)
SELECT count(*) FROM gone;

-- name: read_jobs
-- What waits and what is being worked on, for people. The payload is the number of an instance, or of a check.
SELECT q.id, q.entrypoint AS kind, q.status::text AS status, i.name AS instance, q.attempts,
       extract(epoch FROM now() - q.updated)::float8 AS since_s, q.execute_after > now() AS later
FROM queue.pgqueuer q LEFT JOIN instances i ON q.entrypoint <> 'check' AND i.n::text = convert_from(q.payload, 'UTF8')
WHERE q.status IN ('queued', 'picked')
ORDER BY q.status DESC, q.id;
