-- The facts about cells that SQL needs; everything else is computed in Python (federation/cells.py).

-- The ancestor of an H3 index at a coarser resolution, by its bits: 4 bits of resolution at bit 52, then 7 bits of base
-- cell, then fifteen digits of 3 bits each, unused digits all ones (https://h3geo.org/docs/core-library/h3Indexing).
CREATE FUNCTION h3_parent(h3 bigint, resolution integer) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (h3 & ~(15::bigint << 52)) | (resolution::bigint << 52) | ((1::bigint << ((15 - resolution) * 3)) - 1);

CREATE FUNCTION h3_resolution(h3 bigint) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ((h3 >> 52) & 15)::integer;

-- Number of the 0.1 degree lattice square of a point: row * 3600 + column from the south-west corner of the world.
CREATE FUNCTION lattice_of(point geometry) RETURNS integer
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN least(1799, floor((ST_Y(point) + 90) * 10)::integer) * 3600 + least(3599, floor((ST_X(point) + 180) * 10)::integer);
