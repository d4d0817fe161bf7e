-- What the catalog asks about sequences. Those of an instance that is leaving are left out in a CASE, of which the planner
-- thinks that half pass: a plain condition it would think nothing passes.

-- name: catalog_sequence
-- One sequence. `copies` are the other instances' copies of it that have pictures nobody else has, as everywhere here.
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed, s.cells,
       (SELECT json_agg(json_build_array(o.pictures, o.bbox, o.datetime_min, o.datetime_max)) FROM sequences o
        WHERE o.id = s.id AND NOT o.served AND o.pictures > 0
            AND CASE WHEN o.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS copies
FROM sequences s WHERE s.id = $1 AND s.served
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END;

-- name: catalog_sequence_leaves
-- Where the pictures of these sequences are, in the order they were asked for: the copy that is shown first, then those of
-- other instances that have pictures nobody else has.
SELECT s.n, s.id, s.cells, s.pictures
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, position)
JOIN sequences s ON s.id = w.id AND (s.served OR s.pictures > 0)
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END
ORDER BY w.position, s.served DESC, s.n;

-- name: catalog_list_sequences
-- A page of sequences. What stands as a comment is filled in by catalog_api/search/listing.py, from its own texts: the values
-- that the order compares, conditions, the order. Every value a client gave is a parameter.
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed,
       s.title, s.license, s.created, s.updated, s.length_m, s.account, false AS removed,
       (SELECT json_agg(json_build_array(o.pictures, o.bbox, o.datetime_min, o.datetime_max)) FROM sequences o
        WHERE o.id = s.id AND NOT o.served AND o.pictures > 0
            AND CASE WHEN o.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS copies /*keys*/
FROM sequences s
WHERE s.served AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END /*conditions*/
ORDER BY /*order*/ s.id
LIMIT $1;

-- name: catalog_list_with_removed
-- The same together with what was served once and was taken back. Each part walks its own index to its own limit.
SELECT u.* FROM (
    (SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max,
            s.indexed, s.title, s.license, s.created, s.updated, s.length_m, s.account, false AS removed,
            (SELECT json_agg(json_build_array(o.pictures, o.bbox, o.datetime_min, o.datetime_max)) FROM sequences o
             WHERE o.id = s.id AND NOT o.served AND o.pictures > 0
            AND CASE WHEN o.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END) AS copies /*keys*/
     FROM sequences s
     WHERE s.served AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END /*conditions*/
     ORDER BY /*order*/ s.id
     LIMIT $1)
    UNION ALL
    (SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max,
            s.indexed, s.title, s.license, s.created, s.updated, s.length_m, s.account, true AS removed, NULL::json AS copies /*keys*/
     FROM tombstones s
     WHERE true /*conditions*/
     ORDER BY /*order*/ s.id
     LIMIT $1)
) AS u
ORDER BY /*outer*/ u.id
LIMIT $1;

-- name: catalog_count_sequences
-- How many are listed in all, counted no further than $1.
SELECT count(*) FROM (SELECT FROM sequences s WHERE s.served AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END /*conditions*/ LIMIT $1) AS counted;

-- name: catalog_count_with_removed
SELECT count(*) FROM (
    SELECT FROM sequences s WHERE s.served AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END /*conditions*/
    UNION ALL
    SELECT FROM tombstones s WHERE true /*conditions*/
    LIMIT $1
) AS counted;
