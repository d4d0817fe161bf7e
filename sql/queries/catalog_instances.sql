-- What the catalog asks about instances, and about itself.

-- name: catalog_registry
-- Names and addresses that every answer needs, few rows; since when an instance has not been reached, while it is not.
SELECT n, id, name, url, asset_hosts,
       CASE WHEN state = 'enabled' AND failures > 0 THEN coalesce(last_success_at, registered_at) END AS unreached_since
FROM instances;

-- name: catalog_dictionary
SELECT content FROM dictionaries WHERE n = $1;

-- name: catalog_instances
-- Every instance with its health, or the one of that name or id, that has not left; what is held of each is summed by
-- catalog_held.
SELECT i.n, i.id, i.name, i.url, i.asset_hosts, i.state, i.state_reason, i.configuration, i.version, i.capabilities,
       i.registered_at, i.last_attempt_at, i.last_success_at, i.last_change_at, i.next_visit_at, i.pinged_at, i.failures,
       i.last_error, coalesce(p.open_until > now(), false) AS cut_off, now() AS at,
       CASE WHEN i.state = 'enabled' AND i.failures > 0 THEN coalesce(i.last_success_at, i.registered_at) END
           AS unreached_since
FROM instances i LEFT JOIN paces p ON p.instance = i.n
WHERE i.state <> 'left' AND ($1::text IS NULL OR i.name = $1 OR i.id = $1)
ORDER BY i.name;

-- name: catalog_totals
-- What the whole catalog holds. Leaves do not tell instances apart: what is of one that is leaving is taken off.
SELECT coalesce(sum(pictures), 0)::bigint
       - (SELECT coalesce(sum(s.pictures), 0) FROM sequences s
          WHERE s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]))::bigint AS pictures,
       min(datetime_min) AS datetime_min, max(datetime_max) AS datetime_max,
       (SELECT count(*) FROM instances WHERE state NOT IN ('leaving', 'left')) AS instances,
       (SELECT array[min(ST_XMin(extent)), min(ST_YMin(extent)), max(ST_XMax(extent)), max(ST_YMax(extent))]
        FROM sequences s WHERE served
        AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS bbox,
       (SELECT count(*) FROM sequences s WHERE served
        AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS sequences
FROM (
    SELECT pictures, datetime_min, datetime_max FROM leaves WHERE state <> 'retired'
    UNION ALL SELECT pictures, datetime_min, datetime_max FROM leaf_deltas
) AS folded_and_not;

-- name: catalog_hidden
-- Who is leaving: what is remembered of them is forgotten.
SELECT hidden FROM leaf_set;
