-- What the catalog asks about pictures. Each statement that names leaves is joined to the version of their set in its own
-- snapshot: the caller compares it with the one it knows, and asks again when they differ. The outer join keeps that one
-- row even where the named leaves are gone and the planner knows that nothing can be found. The exact test of a box stands
-- in a CASE: taken as two ranges, the planner thinks that next to nothing passes it, and sorts a whole city (450 ms at 20 M
-- pictures) instead of walking the index by distance (9 ms). Where sequences say which pictures are read, the geometry is
-- tested in one too: the planner would look all of the place up in its index besides. At the mark `filter` stands what
-- catalog_filters.sql has parts for, at the others what sorting puts there; at `shown`, nearly always nothing: see catalog_api/index/hidden.py.

-- name: catalog_nearest_seen
-- Of the first $9 in degrees from the centre ($7, $8), the $10 nearest by geodesic; `reach` and `seen` let the caller prove
-- that no other picture of the box can be nearer. No more than the nearest $17 are looked at, whatever the filter: what few
-- pass may not cost more the larger the box is.
SELECT v.version, q.*
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT t.id, s.id AS sequence, t.instance, t.dictionary, t.payload, t.rank, t.azimuth, t.is_360, t.prev_id, t.next_id,
           t.prev_at, t.next_at, ST_X(t.geom) AS longitude, ST_Y(t.geom) AS latitude, t.datetime, t.created,
           t.updated, t.sequence AS n,
           t.distance, t.reach, t.seen
    FROM (
        SELECT *, max(degrees) OVER () AS reach, count(*) OVER () AS seen
        FROM (
            SELECT p.*, ST_Distance(p.geom, ST_SetSRID(ST_MakePoint($7, $8), 4326)) AS degrees,
                   ST_DistanceSpheroid(p.geom, ST_SetSRID(ST_MakePoint($7, $8), 4326)) AS distance
            FROM (
                SELECT *
                FROM pictures c
                WHERE c.cell = ANY($1::bigint[]) AND c.served /* shown c */
                  AND c.geom && ST_MakeEnvelope($3, $4, $5, $6, 4326)
                  AND CASE WHEN ST_X(c.geom) BETWEEN $3 AND $5 THEN ST_Y(c.geom) BETWEEN $4 AND $6 ELSE false END
                ORDER BY c.geom <-> ST_SetSRID(ST_MakePoint($7, $8), 4326)
                LIMIT $17
            ) p
            WHERE ($13::timestamptz IS NULL OR p.datetime >= $13) AND ($14::timestamptz IS NULL OR p.datetime <= $14)
              AND ($15::integer[] IS NULL OR p.sequence = ANY($15))
              AND ($16::geometry IS NULL OR ST_Intersects(p.geom, $16)) /* filter */
            LIMIT $9
        ) seen
        ORDER BY distance, id
        LIMIT $10
    ) t JOIN sequences s ON s.n = t.sequence
    WHERE (t.distance, t.id) > ($11::float8, $12::uuid)
) q ON v.version = $2
ORDER BY q.distance, q.id;

-- name: catalog_nearest_first
-- The same for a first page without filters, each leaf apart by its kept plan; fails when the leaves are not those of $2.
SELECT * FROM nearest_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: catalog_nearest_first_of_many
-- The same of more leaves: the nearest $10 of them all, each with the least `reach` of the leaves that were not read to
-- their end.
SELECT f.id, f.sequence, f.instance, f.dictionary, f.payload, f.rank, f.azimuth, f.is_360, f.prev_id, f.next_id, f.prev_at,
       f.next_at, f.longitude, f.latitude, f.datetime, f.created, f.updated, f.n, f.distance,
       min(f.reach) FILTER (WHERE f.seen >= $9) OVER () AS reach, max(f.seen) OVER () AS seen
FROM nearest_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) f
ORDER BY f.distance, f.id
LIMIT $10;

-- name: catalog_nearest_within
-- The next $7 pictures of the boxes by geodesic distance, in no order: the boxes hold all that can be among them. At
-- `fence` stands OFFSET 0 when there is no filter: it keeps the planner from computing each distance three times. With a
-- filter it would keep it from joining two indexes.
SELECT v.version, q.*
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT t.id, s.id AS sequence, t.instance, t.dictionary, t.payload, t.rank, t.azimuth, t.is_360, t.prev_id, t.next_id,
           t.prev_at, t.next_at, ST_X(t.geom) AS longitude, ST_Y(t.geom) AS latitude, t.datetime, t.created,
           t.updated, t.sequence AS n, t.distance
    FROM (
        SELECT *
        FROM (
            SELECT p.*, ST_DistanceSpheroid(p.geom, ST_SetSRID(ST_MakePoint($8, $9), 4326)) AS distance
            FROM unnest($3::float8[], $4::float8[], $5::float8[], $6::float8[]) AS b (west, south, east, north)
            JOIN pictures p ON p.geom && ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326)
             AND CASE WHEN ST_X(p.geom) BETWEEN b.west AND b.east THEN ST_Y(p.geom) BETWEEN b.south AND b.north ELSE false END
            WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */
              AND ($12::timestamptz IS NULL OR p.datetime >= $12) AND ($13::timestamptz IS NULL OR p.datetime <= $13)
              AND ($14::integer[] IS NULL OR p.sequence = ANY($14))
              AND ($15::geometry IS NULL OR ST_Intersects(p.geom, $15)) /* filter */
            /* fence */
        ) inside
        WHERE (distance, id) > ($10::float8, $11::uuid)
        ORDER BY distance, id
        LIMIT $7
    ) t JOIN sequences s ON s.n = t.sequence
) q ON v.version = $2;

-- name: catalog_nearest_reach
-- The geodesic distances of the first $9 in degrees: the greatest bounds where the $9 nearest can be. As above, of the
-- nearest $14 only.
SELECT v.version, q.distance
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT ST_DistanceSpheroid(p.geom, ST_SetSRID(ST_MakePoint($7, $8), 4326)) AS distance
    FROM (
        SELECT *
        FROM pictures c
        WHERE c.cell = ANY($1::bigint[]) AND c.served /* shown c */
          AND c.geom && ST_MakeEnvelope($3, $4, $5, $6, 4326)
          AND CASE WHEN ST_X(c.geom) BETWEEN $3 AND $5 THEN ST_Y(c.geom) BETWEEN $4 AND $6 ELSE false END
        ORDER BY c.geom <-> ST_SetSRID(ST_MakePoint($7, $8), 4326)
        LIMIT $14
    ) p
    WHERE ($10::timestamptz IS NULL OR p.datetime >= $10) AND ($11::timestamptz IS NULL OR p.datetime <= $11)
      AND ($12::integer[] IS NULL OR p.sequence = ANY($12))
      AND ($13::geometry IS NULL OR ST_Intersects(p.geom, $13)) /* filter */
    LIMIT $9
) q ON v.version = $2;

-- name: catalog_holds
-- How many pictures a box has, counted no further than $7.
SELECT v.version, q.n
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT count(*) AS n
    FROM (
        SELECT FROM pictures c
        WHERE c.cell = ANY($1::bigint[]) AND c.served /* shown c */
          AND c.geom && ST_MakeEnvelope($3, $4, $5, $6, 4326)
          AND CASE WHEN ST_X(c.geom) BETWEEN $3 AND $5 THEN ST_Y(c.geom) BETWEEN $4 AND $6 ELSE false END
        LIMIT $7
    ) counted
) q ON v.version = $2;

-- name: catalog_squares
-- About how many pictures there are in a box ($3 to $6), from the lattice squares it touches ($1 to $2, for each row of
-- them), folded or not. A box of no area counts as a hundredth of a square.
SELECT coalesce(ceil(sum(c.pictures
    * greatest(0.1, least(1, 10 * (least($5::float8, q.west + 0.1) - greatest($3::float8, q.west))))
    * greatest(0.1, least(1, 10 * (least($6::float8, q.south + 0.1) - greatest($4::float8, q.south))))
)), 0)::bigint AS pictures
FROM (
    SELECT n.cell, n.pictures FROM unnest($1::bigint[], $2::bigint[]) AS s (first, last)
    JOIN cell_counts n ON n.cell BETWEEN s.first AND s.last
    UNION ALL
    SELECT d.cell, d.pictures FROM unnest($1::bigint[], $2::bigint[]) AS s (first, last)
    JOIN count_deltas d ON d.cell BETWEEN s.first AND s.last
) c
CROSS JOIN LATERAL (SELECT c.cell % 3600 * 0.1::float8 - 180 AS west, c.cell / 3600 * 0.1::float8 - 90 AS south) q;

-- name: catalog_nearest_end
-- How far in degrees the $9-th nearest of a box is, whatever it is; nothing where the box has fewer.
SELECT v.version, q.degrees
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT ST_Distance(c.geom, ST_SetSRID(ST_MakePoint($7, $8), 4326)) AS degrees
    FROM pictures c
    WHERE c.cell = ANY($1::bigint[]) AND c.served /* shown c */
      AND c.geom && ST_MakeEnvelope($3, $4, $5, $6, 4326)
      AND CASE WHEN ST_X(c.geom) BETWEEN $3 AND $5 THEN ST_Y(c.geom) BETWEEN $4 AND $6 ELSE false END
    ORDER BY c.geom <-> ST_SetSRID(ST_MakePoint($7, $8), 4326)
    OFFSET $9 - 1 LIMIT 1
) q ON v.version = $2;

-- name: catalog_after_nearest
-- The pictures of the boxes that are not among the nearest (distance and id of the last of those: $8, $9), by sequence,
-- rank and id: an order that needs no distances and that no split of a leaf changes.
SELECT v.version, q.*
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT t.id, s.id AS sequence, t.instance, t.dictionary, t.payload, t.rank, t.azimuth, t.is_360, t.prev_id, t.next_id,
           t.prev_at, t.next_at, ST_X(t.geom) AS longitude, ST_Y(t.geom) AS latitude, t.datetime, t.created,
           t.updated, t.sequence AS n
    FROM (
        SELECT p.*
        FROM pictures p
        WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */
          AND (p.geom && ST_MakeEnvelope($3, $4, $5, $6, 4326) OR p.geom && ST_MakeEnvelope($17, $4, $18, $6, 4326))
          AND (ST_X(p.geom) BETWEEN $3 AND $5 OR ST_X(p.geom) BETWEEN $17 AND $18) AND ST_Y(p.geom) BETWEEN $4 AND $6
          AND (p.sequence, p.rank, p.id) > ($12::integer, $13::integer, $14::uuid)
          AND (ST_DistanceSpheroid(p.geom, ST_SetSRID(ST_MakePoint($10, $11), 4326)), p.id) > ($8::float8, $9::uuid)
          AND ($15::timestamptz IS NULL OR p.datetime >= $15) AND ($16::timestamptz IS NULL OR p.datetime <= $16)
          AND ($19::integer[] IS NULL OR p.sequence = ANY($19))
          AND ($20::geometry IS NULL OR ST_Intersects(p.geom, $20)) /* filter */
        ORDER BY p.sequence, p.rank, p.id
        LIMIT $7
    ) t JOIN sequences s ON s.n = t.sequence
) q ON v.version = $2
ORDER BY q.n, q.rank, q.id;

-- name: catalog_sequences_around
-- Sequences with pictures before and after a moment; that may meet a geometry ($2), of these ($3).
SELECT s.n, s.cells, s.indexed, s.pictures, s.datetime_max AS edge FROM sequences s
WHERE s.pictures > 0 AND tstzrange(s.datetime_min, s.datetime_max, '[]') @> $1::timestamptz
  AND ($2::geometry IS NULL OR s.extent && $2) AND ($3::integer[] IS NULL OR s.n = ANY($3)) /* filter */;

-- name: catalog_sequences_until
-- Sequences that end before ($1, $2) and not before $3, the latest first.
SELECT s.n, s.cells, s.indexed, s.pictures, s.datetime_max AS edge FROM sequences s
WHERE s.pictures > 0 AND (s.datetime_max, s.n) < ($1::timestamptz, $2::integer)
  AND ($3::timestamptz IS NULL OR s.datetime_max >= $3)
  AND ($5::geometry IS NULL OR s.extent && $5) AND ($6::integer[] IS NULL OR s.n = ANY($6)) /* filter */
ORDER BY s.datetime_max DESC, s.n DESC
LIMIT $4;

-- name: catalog_sequences_from
-- Sequences that begin after ($1, $2) and not after $3, the earliest first.
SELECT s.n, s.cells, s.indexed, s.pictures, s.datetime_min AS edge FROM sequences s
WHERE s.pictures > 0 AND (s.datetime_min, s.n) > ($1::timestamptz, $2::integer)
  AND ($3::timestamptz IS NULL OR s.datetime_min <= $3)
  AND ($5::geometry IS NULL OR s.extent && $5) AND ($6::integer[] IS NULL OR s.n = ANY($6)) /* filter */
ORDER BY s.datetime_min, s.n
LIMIT $4;

-- name: catalog_sequences_numbered
-- Up to $2 sequences after number $1, in the order of their numbers, that may hold what is asked for.
SELECT s.n, s.cells, s.indexed, s.pictures FROM sequences s
WHERE s.pictures > 0 AND s.n > $1::integer
  AND ($3::timestamptz IS NULL OR s.datetime_max >= $3) AND ($4::timestamptz IS NULL OR s.datetime_min <= $4)
  AND ($5::geometry IS NULL OR s.extent && $5) AND ($6::integer[] IS NULL OR s.n = ANY($6)) /* filter */
ORDER BY s.n
LIMIT $2;

-- name: catalog_sequences_indexed
-- Sequences that this catalog changed at a moment.
SELECT s.n, s.cells, s.indexed, s.pictures, s.indexed AS edge FROM sequences s
WHERE s.pictures > 0 AND s.indexed = $1::timestamptz
  AND ($2::geometry IS NULL OR s.extent && $2) AND ($3::integer[] IS NULL OR s.n = ANY($3)) /* filter */;

-- name: catalog_sequences_indexed_until
-- Those before ($1, $2), the latest first. $3 is for the other walks.
SELECT s.n, s.cells, s.indexed, s.pictures, s.indexed AS edge FROM sequences s
WHERE s.pictures > 0 AND (s.indexed, s.n) < ($1::timestamptz, $2::integer)
  AND ($3::timestamptz IS NULL OR true)
  AND ($5::geometry IS NULL OR s.extent && $5) AND ($6::integer[] IS NULL OR s.n = ANY($6)) /* filter */
ORDER BY s.indexed DESC, s.n DESC
LIMIT $4;

-- name: catalog_sequences_indexed_from
-- Those after ($1, $2), the earliest first.
SELECT s.n, s.cells, s.indexed, s.pictures, s.indexed AS edge FROM sequences s
WHERE s.pictures > 0 AND (s.indexed, s.n) > ($1::timestamptz, $2::integer)
  AND ($3::timestamptz IS NULL OR true)
  AND ($5::geometry IS NULL OR s.extent && $5) AND ($6::integer[] IS NULL OR s.n = ANY($6)) /* filter */
ORDER BY s.indexed, s.n
LIMIT $4;

-- name: catalog_sequences_with
-- Up to $1 sequences that may hold what is asked for.
SELECT s.n, s.cells, s.indexed, s.pictures FROM sequences s
WHERE s.pictures > 0
  AND ($2::timestamptz IS NULL OR s.datetime_max >= $2) AND ($3::timestamptz IS NULL OR s.datetime_min <= $3)
  AND ($4::geometry IS NULL OR s.extent && $4) AND ($5::integer[] IS NULL OR s.n = ANY($5)) /* filter */
LIMIT $1;

-- name: catalog_tagged
-- Sequences of up to $4 pictures that have a tag of $3, within a box or anywhere.
SELECT v.version, q.n
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT p.sequence AS n
    FROM pictures p
    WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */ AND p.semantics IS NOT NULL AND p.semantics @> ANY ($3::text[]::jsonb[])
      AND ($5::geometry IS NULL OR p.geom && $5)
    LIMIT $4
) q ON v.version = $2;

-- name: catalog_sorted
-- Pictures of these sequences ($3) in any order, after any position. Distances are from ($6, $7). A sequence that changed
-- since ($4: when it had last changed) may be in other leaves than those named: the version is -1 then, and all is read
-- again.
SELECT CASE WHEN c.changed THEN -1 ELSE v.version END AS version, q.*
FROM leaf_set v
CROSS JOIN (
    SELECT EXISTS (SELECT FROM unnest($3::integer[], $4::timestamptz[]) AS known (n, indexed)
                   JOIN sequences s USING (n) WHERE s.indexed <> known.indexed) AS changed
) c
LEFT JOIN LATERAL (
    SELECT t.*, s.id AS sequence, t.of_sequence AS n
    FROM (
        SELECT p.id, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
               p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.datetime, p.created,
               p.updated, p.sequence AS of_sequence, $6::float8 AS x, $7::float8 AS y, /* keys */ p.id AS key0
        FROM pictures p
        WHERE p.cell = ANY($1::bigint[]) AND p.sequence = ANY($3::integer[]) AND p.served /* shown p */
          AND ($8::timestamptz IS NULL OR p.datetime >= $8) AND ($9::timestamptz IS NULL OR p.datetime <= $9)
          AND CASE WHEN p.served THEN $10::geometry IS NULL OR ST_Intersects(p.geom, $10) ELSE false END /* filter */
        ORDER BY /* order */ key0
        LIMIT $5
    ) t JOIN sequences s ON s.n = t.of_sequence
) q ON v.version = $2 AND NOT c.changed
ORDER BY /* order */ key0;

-- name: catalog_of_sequence
-- Pictures of one sequence by rank and id, after ($5, $6). `cells` is what the sequence says now: the caller checks that it
-- named the leaves of all of them.
SELECT v.version, w.cells, q.*
FROM leaf_set v LEFT JOIN sequences w ON w.n = $3 LEFT JOIN LATERAL (
    SELECT p.id, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
           p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.created, p.updated, p.datetime
    FROM pictures p
    WHERE p.cell = ANY($1::bigint[]) AND p.sequence = $3 AND p.served /* shown p */
      AND (p.rank, p.id) > ($5::integer, $6::uuid)
      AND ($7::timestamptz IS NULL OR p.datetime >= $7) AND ($8::timestamptz IS NULL OR p.datetime <= $8)
      AND CASE WHEN p.served THEN $9::geometry IS NULL OR ST_Intersects(p.geom, $9) ELSE false END /* filter */
    ORDER BY p.rank, p.id
    LIMIT $4
) q ON v.version = $2
ORDER BY q.rank, q.id;

-- name: catalog_of_sequence_before
-- The same backwards, before ($5, $6).
SELECT v.version, w.cells, q.*
FROM leaf_set v LEFT JOIN sequences w ON w.n = $3 LEFT JOIN LATERAL (
    SELECT p.id, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
           p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.created, p.updated, p.datetime
    FROM pictures p
    WHERE p.cell = ANY($1::bigint[]) AND p.sequence = $3 AND p.served /* shown p */
      AND (p.rank, p.id) < ($5::integer, $6::uuid)
      AND ($7::timestamptz IS NULL OR p.datetime >= $7) AND ($8::timestamptz IS NULL OR p.datetime <= $8)
      AND CASE WHEN p.served THEN $9::geometry IS NULL OR ST_Intersects(p.geom, $9) ELSE false END /* filter */
    ORDER BY p.rank DESC, p.id DESC
    LIMIT $4
) q ON v.version = $2
ORDER BY q.rank DESC, q.id DESC;

-- name: catalog_rank_of
-- Where a picture stands in its sequence, of which these are the copies.
SELECT rank FROM locator WHERE id = $1 AND copy = 0 AND sequence = ANY($2::integer[]);

-- name: catalog_by_ids
-- These pictures in the order they were asked for, after the $2-th.
SELECT p.id, s.id AS sequence, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
       p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.datetime, p.created,
       p.updated, w.position
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (id, position)
CROSS JOIN LATERAL picture_row(w.id) p
JOIN sequences s ON s.n = p.sequence
WHERE w.position > $2
  AND ($4::timestamptz IS NULL OR p.datetime >= $4) AND ($5::timestamptz IS NULL OR p.datetime <= $5)
  AND ($6::uuid[] IS NULL OR s.id = ANY($6))
  AND ($7::geometry IS NULL OR ST_Intersects(p.geom, $7)) /* filter */
ORDER BY w.position
LIMIT $3;

-- name: catalog_ids_after
-- Up to $2 ids of served pictures after $1, null for all, in their order.
SELECT l.id FROM locator l WHERE l.copy = 0 AND ($1::uuid IS NULL OR l.id > $1) ORDER BY l.id LIMIT $2;

-- name: catalog_ids_before
-- The same downwards.
SELECT l.id FROM locator l WHERE l.copy = 0 AND ($1::uuid IS NULL OR l.id < $1) ORDER BY l.id DESC LIMIT $2;

-- name: catalog_by_ids_sorted
-- The same in any order; distances are from ($7, $8).
SELECT p.id, s.id AS sequence, p.instance, p.dictionary, p.payload, p.rank, p.azimuth, p.is_360, p.prev_id, p.next_id,
       p.prev_at, p.next_at, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.datetime, p.created,
       p.updated, $7::float8 AS x, $8::float8 AS y, /* keys */ p.id AS key0
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL picture_row(w.id) p
JOIN sequences s ON s.n = p.sequence
WHERE ($3::timestamptz IS NULL OR p.datetime >= $3) AND ($4::timestamptz IS NULL OR p.datetime <= $4)
  AND ($5::uuid[] IS NULL OR s.id = ANY($5))
  AND ($6::geometry IS NULL OR ST_Intersects(p.geom, $6)) /* filter */
ORDER BY /* order */ key0
LIMIT $2;

-- name: catalog_picture
-- One picture with what only a single answer shows: its other copies and its neighbours in other sequences.
SELECT * FROM picture_item($1);

-- name: catalog_related
-- Pictures within 15 m that may be shown as related, in leaves other than the picture's own.
SELECT v.version, q.*
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT s.id AS sequence, p.id, ST_X(p.geom) AS longitude, ST_Y(p.geom) AS latitude, p.datetime, p.azimuth, p.is_360,
           ST_DistanceSpheroid(p.geom, $3::geometry) AS distance
    FROM unnest($4::float8[], $5::float8[], $6::float8[], $7::float8[]) AS b (west, south, east, north)
    JOIN pictures p ON p.geom && ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326)
    JOIN sequences s ON s.n = p.sequence
    WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */ AND s.id <> $8
      AND ST_DistanceSpheroid(p.geom, $3::geometry) <= 15
) q ON v.version = $2;

-- name: catalog_count_ids
SELECT count(*) AS n
FROM unnest($1::uuid[]) AS w (id)
CROSS JOIN LATERAL picture_row(w.id) p
JOIN sequences s ON s.n = p.sequence
WHERE ($2::timestamptz IS NULL OR p.datetime >= $2) AND ($3::timestamptz IS NULL OR p.datetime <= $3)
  AND ($4::uuid[] IS NULL OR s.id = ANY($4))
  AND ($5::geometry IS NULL OR ST_Intersects(p.geom, $5)) /* filter */;

-- name: catalog_count_within
-- Pictures of the boxes, which do not overlap.
SELECT v.version, q.n
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT count(*) AS n
    FROM unnest($3::float8[], $4::float8[], $5::float8[], $6::float8[]) AS b (west, south, east, north)
    JOIN pictures p ON p.geom && ST_MakeEnvelope(b.west, b.south, b.east, b.north, 4326)
     AND CASE WHEN ST_X(p.geom) BETWEEN b.west AND b.east THEN ST_Y(p.geom) BETWEEN b.south AND b.north ELSE false END
    WHERE p.cell = ANY($1::bigint[]) AND p.served /* shown p */
      AND ($7::timestamptz IS NULL OR p.datetime >= $7) AND ($8::timestamptz IS NULL OR p.datetime <= $8)
      AND ($9::integer[] IS NULL OR p.sequence = ANY($9))
      AND ($10::geometry IS NULL OR ST_Intersects(p.geom, $10)) /* filter */
) q ON v.version = $2;

-- name: catalog_count_of_sequences
SELECT v.version, q.n
FROM leaf_set v LEFT JOIN LATERAL (
    SELECT count(*) AS n
    FROM pictures p
    WHERE p.cell = ANY($1::bigint[]) AND p.sequence = ANY($3::integer[]) AND p.served /* shown p */
      AND ($4::timestamptz IS NULL OR p.datetime >= $4) AND ($5::timestamptz IS NULL OR p.datetime <= $5)
      AND CASE WHEN p.served THEN $6::geometry IS NULL OR ST_Intersects(p.geom, $6) ELSE false END /* filter */
) q ON v.version = $2;

-- name: catalog_count_stored
-- What sequences say of themselves: of these, or of all.
SELECT coalesce(sum(s.pictures), 0)::bigint AS n FROM sequences s
WHERE s.pictures > 0 AND ($1::integer[] IS NULL OR s.n = ANY($1))
  AND CASE WHEN s.instance = ANY ((SELECT hidden FROM leaf_set)::smallint[]) THEN false ELSE true END;
