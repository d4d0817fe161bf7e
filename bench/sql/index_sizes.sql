-- Bytes of every index, those of partitions summed under the index of the parent.
WITH RECURSIVE tree AS (
    SELECT c.oid, c.oid AS top
    FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('i', 'I') AND NOT c.relispartition
      AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
    UNION ALL
    SELECT i.inhrelid, tree.top
    FROM tree
    JOIN pg_inherits i ON i.inhparent = tree.oid
)
SELECT top.relname, sum(pg_relation_size(tree.oid))::bigint
FROM tree
JOIN pg_class top ON top.oid = tree.top
GROUP BY top.relname
HAVING sum(pg_relation_size(tree.oid)) > 65536
ORDER BY 2 DESC;
