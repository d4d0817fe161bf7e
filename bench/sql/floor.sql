-- The floor: items as stored text, the plainest indexes, nothing else.

-- name: floor_tables
CREATE EXTENSION IF NOT EXISTS postgis;
CREATE TABLE floor_items (
    id uuid NOT NULL, datetime timestamptz NOT NULL, azimuth integer, geom geometry(Point, 4326) NOT NULL, item text NOT NULL
);
CREATE TABLE floor_collections (id uuid NOT NULL, collection text NOT NULL);

-- name: floor_indexes
CREATE UNIQUE INDEX ON floor_items (id);
CREATE INDEX ON floor_items USING gist (geom);
CREATE INDEX ON floor_items (datetime DESC);
CREATE UNIQUE INDEX ON floor_collections (id);
ANALYZE floor_items, floor_collections;

-- name: floor_count
SELECT count(*) FROM floor_items;

-- name: floor_item
SELECT item FROM floor_items WHERE id = $1;

-- name: floor_ids
SELECT item FROM floor_items WHERE id = ANY($1::uuid[]);

-- name: floor_box
SELECT item FROM floor_items WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326)
  AND ST_X(geom) BETWEEN $1 AND $3 AND ST_Y(geom) BETWEEN $2 AND $4 LIMIT $5;

-- name: floor_box_times
SELECT item FROM floor_items
WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326)
  AND ST_X(geom) BETWEEN $1 AND $3 AND ST_Y(geom) BETWEEN $2 AND $4 AND datetime BETWEEN $6 AND $7 LIMIT $5;

-- name: floor_box_sorted
SELECT item FROM floor_items WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326)
  AND ST_X(geom) BETWEEN $1 AND $3 AND ST_Y(geom) BETWEEN $2 AND $4 ORDER BY datetime DESC LIMIT $5;

-- name: floor_box_filter
SELECT item FROM floor_items
WHERE geom && ST_MakeEnvelope($1, $2, $3, $4, 4326)
  AND ST_X(geom) BETWEEN $1 AND $3 AND ST_Y(geom) BETWEEN $2 AND $4 AND azimuth >= $6 AND azimuth < $7 LIMIT $5;

-- name: floor_times
SELECT item FROM floor_items WHERE datetime BETWEEN $1 AND $2 ORDER BY datetime DESC LIMIT $3;

-- name: floor_polygon
SELECT item FROM floor_items WHERE ST_Intersects(geom, ST_SetSRID(ST_GeomFromGeoJSON($1::text), 4326)) LIMIT $2;

-- name: floor_list
SELECT collection FROM floor_collections ORDER BY id LIMIT $1;
