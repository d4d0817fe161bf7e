-- What the export reads, one leaf at a time, each in one snapshot.

-- name: export_patience
-- Writing a row group may take longer than a reader's usual pause between two statements.
SET LOCAL idle_in_transaction_session_timeout = '10min';

-- name: export_leaf
-- The served pictures of some leaves, sequence by sequence, as their items need them.
SELECT p.id, s.id AS sequence, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
       p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.datetime, p.created, p.updated
FROM pictures p JOIN sequences s ON s.n = p.sequence
WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */
ORDER BY p.sequence, p.rank, p.id;

-- name: export_recall
-- Up to which recall a file written from this snapshot knows.
SELECT coalesce(max(n), 0) FROM recalls;

-- name: catalog_recalls
-- What was recalled after $1.
SELECT n, cells FROM recalls WHERE n > $1 ORDER BY n;

-- name: export_sizes
-- About how many pictures each leaf holds, for whoever watches.
SELECT l.cell, l.pictures + coalesce(sum(d.pictures), 0)::bigint AS pictures
FROM leaves l LEFT JOIN leaf_deltas d USING (cell)
WHERE l.state <> 'retired'
GROUP BY l.cell;
