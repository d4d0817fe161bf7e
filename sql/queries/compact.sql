-- name: tables_to_compact
-- Leaves, and the locator, that grew by the factor $1 since their indexes were rebuilt and hold at least $2 pictures.
WITH sizes AS (
    SELECT 'pictures_' || to_hex(cell) AS relation, pictures FROM leaves WHERE state = 'live'
    UNION ALL
    SELECT name, (SELECT coalesce(sum(pictures), 0) FROM leaves)::bigint
    FROM unnest(ARRAY['locator', 'cell_counts']) AS name
)
SELECT s.relation, s.pictures
FROM sizes s LEFT JOIN compactions c USING (relation)
WHERE s.pictures >= $2 AND s.pictures >= coalesce(c.pictures, 0) * $1::float8
ORDER BY s.relation;

-- name: record_compaction
INSERT INTO compactions (relation, pictures) VALUES ($1, $2)
ON CONFLICT (relation) DO UPDATE SET pictures = excluded.pictures, at = now();

-- name: lock_compacting
SELECT pg_try_advisory_lock(lock_key('compact'));

-- name: broken_indexes
-- Left by a rebuilding that was interrupted: they are only written to, and may go.
SELECT c.relname FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid
WHERE NOT i.indisvalid AND c.relname ~ '_ccnew[0-9]*$' AND c.relnamespace = 'public'::regnamespace;

-- name: drop_index_concurrently
DROP INDEX CONCURRENTLY IF EXISTS {index};

-- name: rebuild_indexes
REINDEX TABLE CONCURRENTLY {table};

-- name: forget_compactions
-- Of leaves that are gone.
DELETE FROM compactions WHERE relation LIKE 'pictures%' AND to_regclass(relation) IS NULL;
