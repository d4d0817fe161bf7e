-- Rows that are kept for a while only. Each statement gets how long as $1 and tells how many rows went.

-- name: purge_changes
-- The last change that goes is remembered: readers who stand before it have missed something, and are told so.
WITH gone AS (DELETE FROM changes WHERE at < now() - $1::interval RETURNING xid, n),
     noted AS (
         UPDATE epochs SET purged_xid = last.xid, purged_n = last.n
         FROM (SELECT xid, n FROM gone ORDER BY xid DESC, n DESC LIMIT 1) AS last
         WHERE (last.xid, last.n) > (coalesce(purged_xid, '0'), coalesce(purged_n, 0))
     )
SELECT count(*) FROM gone;

-- name: purge_quarantine
WITH gone AS (DELETE FROM quarantine WHERE at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;

-- name: purge_runs
-- The latest run of an instance stays: it tells how the instance is.
WITH gone AS (
    DELETE FROM runs r USING instances i
    WHERE i.n = r.instance AND r.n <> i.run AND r.outcome <> 'running' AND r.started_at < now() - $1::interval
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: purge_idle_runs
-- Visits that found nothing new and met no fault: nearly all of them. Those between which a sequence waits are partial.
WITH gone AS (
    DELETE FROM runs r USING instances i
    WHERE i.n = r.instance AND r.n <> i.run AND r.outcome IN ('done', 'partial') AND r.started_at < now() - $1::interval
      AND r.sequences_changed = 0 AND r.sequences_removed = 0 AND r.sequences_reconciled = 0
      AND r.accounts_renamed = 0 AND r.terms_changed = 0 AND r.sequences_failed = 0 AND r.pictures_quarantined = 0
    RETURNING 1
)
SELECT count(*) FROM gone;

-- name: purge_freshness
WITH gone AS (DELETE FROM freshness WHERE day < (now() - $1::interval)::date RETURNING 1) SELECT count(*) FROM gone;

-- name: purge_absences
WITH gone AS (DELETE FROM absences WHERE at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;

-- name: purge_tombstones
-- Sequences that are long gone: those who mirror us have had time to hear of it. What their instance still calls deleted
-- is unknown here then, and passed over.
WITH gone AS (
    DELETE FROM sequences s
    WHERE state = 'removed' AND coalesce(removed_at, checked_at) < now() - $1::interval
      AND NOT EXISTS (SELECT FROM retries r WHERE r.instance = s.instance AND r.sequence = s.id)
    RETURNING 1
)
SELECT count(*) FROM gone;
