-- The change feed, as the catalog gives it out. See sql/schema/080_changes.sql for its order.

-- name: catalog_changes
-- Changes after ($1, $2), in one snapshot with what says whether some of them are forgotten already. Rows of a
-- transaction that is not older than every running one wait: one of those may still commit a smaller number. One row
-- without a change where there is none. What an instance that is leaving had is gone, whatever the log says of it.
SELECT e.epoch, e.purged_xid::text AS purged_xid, e.purged_n, pg_snapshot_xmin(pg_current_snapshot())::text AS head,
       pg_snapshot_xmax(pg_current_snapshot())::text AS ahead, pg_is_in_recovery() AS replica,
       q.xid::text AS xid, q.n, q.at, q.sequence, q.kind, q.bbox_before, q.bbox_after, q.instance, q.name
FROM epochs e LEFT JOIN LATERAL (
    SELECT c.xid, c.n, c.at, c.sequence, i.id AS instance, i.name, c.bbox_before,
           CASE WHEN c.instance = ANY (l.hidden) THEN 'remove' ELSE c.kind END AS kind,
           CASE WHEN c.instance = ANY (l.hidden) THEN NULL ELSE c.bbox_after END AS bbox_after
    FROM leaf_set l CROSS JOIN changes c LEFT JOIN instances i ON i.n = c.instance
    WHERE (c.xid, c.n) > ($1::text::xid8, $2::bigint) AND c.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY c.xid, c.n
    LIMIT $3
) q ON true
ORDER BY q.xid, q.n;

-- name: catalog_latest_change
-- The last change that may be given out, null when there is none.
SELECT e.epoch, q.xid::text AS xid, q.n
FROM epochs e LEFT JOIN LATERAL (
    SELECT c.xid, c.n FROM changes c
    WHERE c.xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY c.xid DESC, c.n DESC LIMIT 1
) q ON true;
