-- What the catalog asks about contributors. An account is shown while it has a sequence with served pictures. The same
-- id on several instances is one user: the account that was seen first, the others are its alternates. Those of an instance
-- that is leaving are left out.

-- name: catalog_users
-- A page of users by the order they were first seen in, after number $1.
SELECT a.n, a.id, a.name, a.instance FROM accounts a
WHERE a.n > $1::integer
  AND CASE WHEN a.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
  AND EXISTS (SELECT FROM sequences s WHERE s.account = a.n AND s.served AND s.pictures > 0)
  AND NOT EXISTS (SELECT FROM accounts o WHERE o.id = a.id AND o.n < a.n
                  AND CASE WHEN o.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
                  AND EXISTS (SELECT FROM sequences s WHERE s.account = o.n AND s.served AND s.pictures > 0))
ORDER BY a.n
LIMIT $2;

-- name: catalog_find_users
-- Users whose name holds a text: the same name first, then names that begin with it.
SELECT a.n, a.id, a.name, a.instance FROM accounts a
WHERE position(lower($1::text) IN lower(a.name)) > 0
  AND CASE WHEN a.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
  AND EXISTS (SELECT FROM sequences s WHERE s.account = a.n AND s.served AND s.pictures > 0)
  AND NOT EXISTS (SELECT FROM accounts o WHERE o.id = a.id AND o.n < a.n
                  AND CASE WHEN o.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
                  AND EXISTS (SELECT FROM sequences s WHERE s.account = o.n AND s.served AND s.pictures > 0))
ORDER BY a.name = $1 DESC, lower(a.name) = lower($1) DESC, position(lower($1) IN lower(a.name)), lower(a.name), a.n
LIMIT $2;

-- name: catalog_user
-- The accounts of one id that have something to show, the one that was seen first at the front.
SELECT a.n, a.id, a.name, a.instance FROM accounts a
WHERE a.id = $1 AND CASE WHEN a.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
  AND EXISTS (SELECT FROM sequences s WHERE s.account = a.n AND s.served AND s.pictures > 0)
ORDER BY a.n;

-- name: catalog_user_figures
-- What one account holds.
SELECT count(*) AS sequences, coalesce(sum(s.pictures), 0)::bigint AS pictures, coalesce(sum(s.length_m), 0) AS length_m,
       min(s.created) AS created, max(s.updated) AS updated, min(s.datetime_min) AS datetime_min,
       max(s.datetime_max) AS datetime_max, array_agg(DISTINCT s.license) AS licenses,
       array[min(ST_XMin(s.extent)), min(ST_YMin(s.extent)), max(ST_XMax(s.extent)), max(ST_YMax(s.extent))] AS bbox
FROM sequences s WHERE s.account = $1 AND s.served AND s.pictures > 0;

-- name: catalog_account_names
SELECT n, name FROM accounts WHERE n = ANY($1::integer[]);
