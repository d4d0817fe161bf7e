-- What the catalog asks about instances, and about itself.

-- name: catalog_registry
-- Names and addresses that every answer needs, few rows.
SELECT n, id, name, url, asset_hosts FROM instances;

-- name: catalog_dictionary
SELECT content FROM dictionaries WHERE n = $1;

-- name: catalog_instances
-- Every instance with its health; sums over its sequences are small next to its pictures.
SELECT i.n, i.id, i.name, i.url, i.state, i.configuration, i.version, i.registered_at, i.last_attempt_at, i.last_success_at,
       i.last_change_at, i.failures, i.last_error, q.sequences, q.pictures, q.datetime_min, q.datetime_max
FROM instances i LEFT JOIN LATERAL (
    SELECT count(*) AS sequences, coalesce(sum(s.pictures), 0) AS pictures, min(s.datetime_min) AS datetime_min,
           max(s.datetime_max) AS datetime_max
    FROM sequences s WHERE s.instance = i.n AND s.served
) q ON true
WHERE $1::text IS NULL OR i.name = $1 OR i.id = $1
ORDER BY i.name;

-- name: catalog_totals
-- What the whole catalog holds.
SELECT coalesce(sum(pictures), 0)::bigint AS pictures, min(datetime_min) AS datetime_min, max(datetime_max) AS datetime_max,
       (SELECT count(*) FROM instances) AS instances,
       (SELECT array[min(ST_XMin(extent)), min(ST_YMin(extent)), max(ST_XMax(extent)), max(ST_YMax(extent))]
        FROM sequences WHERE served) AS bbox,
       (SELECT count(*) FROM sequences WHERE served) AS sequences
FROM (
    SELECT pictures, datetime_min, datetime_max FROM leaves WHERE state <> 'retired'
    UNION ALL SELECT pictures, datetime_min, datetime_max FROM leaf_deltas
) AS folded_and_not;

-- name: catalog_alive
SELECT 1;
