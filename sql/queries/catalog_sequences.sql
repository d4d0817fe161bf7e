-- What the catalog asks about sequences.

-- name: catalog_sequence
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed, s.cells
FROM sequences s WHERE s.id = $1 AND s.served;

-- name: catalog_sequence_leaves
-- Where the pictures of these sequences are, in the order they were asked for.
SELECT s.n, s.id, s.cells
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, position) JOIN sequences s ON s.id = w.id AND s.served
ORDER BY w.position;

-- name: catalog_sequences
-- Oldest news first, after ($1, $2); those whose extent meets $4 and whose pictures' dates meet $5 to $6.
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed
FROM sequences s
WHERE s.served AND (s.indexed, s.id) > ($1::timestamptz, $2::uuid)
  AND ($4::geometry IS NULL OR ST_Intersects(s.extent, $4))
  AND ($5::timestamptz IS NULL OR s.datetime_max >= $5) AND ($6::timestamptz IS NULL OR s.datetime_min <= $6)
ORDER BY s.indexed, s.id
LIMIT $3;

-- name: catalog_sequences_before
-- The same backwards: latest news first, before ($1, $2).
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed
FROM sequences s
WHERE s.served AND (s.indexed, s.id) < ($1::timestamptz, $2::uuid)
  AND ($4::geometry IS NULL OR ST_Intersects(s.extent, $4))
  AND ($5::timestamptz IS NULL OR s.datetime_max >= $5) AND ($6::timestamptz IS NULL OR s.datetime_min <= $6)
ORDER BY s.indexed DESC, s.id DESC
LIMIT $3;
