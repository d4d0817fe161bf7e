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
-- Oldest news first, after ($1, $2); those whose box meets $4 (its parts: $7 to $10; boxes of
-- straight streets have no area, so they are compared as numbers) and whose pictures' dates meet $5 to $6.
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed
FROM sequences s
WHERE s.served AND (s.indexed, s.id) > ($1::timestamptz, $2::uuid)
  AND ($4::geometry IS NULL OR (
      s.extent && $4 AND s.bbox[2] <= $10::float8 AND s.bbox[4] >= $9::float8
      AND EXISTS (SELECT FROM unnest($7::float8[], $8::float8[]) AS q (west, east)
                  WHERE CASE WHEN s.bbox[1] <= s.bbox[3] THEN q.west <= s.bbox[3] AND q.east >= s.bbox[1]
                             ELSE q.west <= s.bbox[3] OR q.east >= s.bbox[1] END)))
  AND ($5::timestamptz IS NULL OR s.datetime_max >= $5) AND ($6::timestamptz IS NULL OR s.datetime_min <= $6)
ORDER BY s.indexed, s.id
LIMIT $3;

-- name: catalog_sequences_before
-- The same backwards: latest news first, before ($1, $2).
SELECT s.id, s.n, s.instance, s.dictionary, s.payload, s.pictures, s.bbox, s.datetime_min, s.datetime_max, s.indexed
FROM sequences s
WHERE s.served AND (s.indexed, s.id) < ($1::timestamptz, $2::uuid)
  AND ($4::geometry IS NULL OR (
      s.extent && $4 AND s.bbox[2] <= $10::float8 AND s.bbox[4] >= $9::float8
      AND EXISTS (SELECT FROM unnest($7::float8[], $8::float8[]) AS q (west, east)
                  WHERE CASE WHEN s.bbox[1] <= s.bbox[3] THEN q.west <= s.bbox[3] AND q.east >= s.bbox[1]
                             ELSE q.west <= s.bbox[3] OR q.east >= s.bbox[1] END)))
  AND ($5::timestamptz IS NULL OR s.datetime_max >= $5) AND ($6::timestamptz IS NULL OR s.datetime_min <= $6)
ORDER BY s.indexed DESC, s.id DESC
LIMIT $3;
