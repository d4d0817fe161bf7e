-- What watches over the catalog asks.

-- name: catalog_alive
SELECT 1;

-- name: catalog_state
-- Two equal answers mean that no visible change lies between them. Below the oldest running transaction the last change
-- tells it; above, any of them may be missing, so those that are there are named. Instances are renamed without a change.
SELECT e.epoch, e.purged_xid::text AS purged_xid, e.purged_n,
       (SELECT c.xid::text || ' ' || c.n FROM changes c ORDER BY c.xid DESC, c.n DESC LIMIT 1) AS last,
       (SELECT string_agg(DISTINCT c.xid::text, ' ') FROM changes c
        WHERE c.xid >= pg_snapshot_xmin(pg_current_snapshot())) AS unsettled,
       (SELECT md5(string_agg(i.n || i.name || i.url || i.state, ' ' ORDER BY i.n)) FROM instances i) AS instances
FROM epochs e;

-- name: metrics_instances
-- Every instance as its last visits left it; nothing here is counted over pictures.
SELECT i.n, i.id, i.state, i.failures,
       extract(epoch FROM now() - i.last_success_at)::float8 AS success_age_s,
       extract(epoch FROM now() - i.last_change_at)::float8 AS change_age_s,
       CASE WHEN i.state = 'enabled' THEN greatest(extract(epoch FROM now() - i.next_visit_at), 0)::float8 END AS overdue_s,
       coalesce(r.outcome = 'running', false) AS running,
       (SELECT count(*) FROM retries t WHERE t.instance = i.n) AS retries,
       (SELECT count(*) FROM followups f WHERE f.instance = i.n) AS followups,
       (SELECT count(*) FROM ranges g WHERE g.instance = i.n AND NOT g.done) AS ranges,
       coalesce(p.open_until > now(), false) AS resting
FROM instances i LEFT JOIN runs r ON r.n = i.run LEFT JOIN paces p ON p.instance = i.n
ORDER BY i.id;

-- name: metrics_index
-- What the whole index holds, from the sums of its leaves; unfolded deltas are a few seconds' worth while folding works.
SELECT count(*) FILTER (WHERE state <> 'retired') AS leaves, coalesce(sum(pictures), 0)::bigint AS pictures,
       count(*) FILTER (WHERE state = 'splitting') AS splitting,
       (SELECT count(*) FROM (SELECT 1 FROM count_deltas LIMIT 1000000) u) AS unfolded
FROM leaves;
