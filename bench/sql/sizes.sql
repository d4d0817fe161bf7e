-- Bytes of every table of the schema, partitions summed under their parent: rows, heap, indexes, TOAST with its index.
WITH RECURSIVE tree AS (
    SELECT c.oid, c.oid AS top
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT i.inhrelid, tree.top
    FROM tree
    JOIN pg_inherits i ON i.inhparent = tree.oid
)
SELECT
    top.relname,
    count(*) FILTER (WHERE c.relkind <> 'p'),
    coalesce(sum(greatest(c.reltuples, 0)) FILTER (WHERE c.relkind <> 'p'), 0)::bigint,
    coalesce(sum(pg_table_size(c.oid)
        - CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END), 0)::bigint,
    coalesce(sum(pg_indexes_size(c.oid)), 0)::bigint,
    coalesce(sum(CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END), 0)::bigint
FROM tree
JOIN pg_class c ON c.oid = tree.oid
JOIN pg_class top ON top.oid = tree.top
GROUP BY top.relname
ORDER BY 4 + 5 + 6 DESC, 1;
