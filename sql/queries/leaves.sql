-- name: read_leaves
-- The version, and every leaf that is read: one row with nulls when there is none yet.
SELECT s.version, s.base_resolution, s.hidden, l.cell, l.state, l.west, l.south, l.east, l.north
FROM leaf_set s LEFT JOIN leaves l ON l.state <> 'retired'
ORDER BY l.cell;

-- name: create_leaf
SELECT create_leaf($1, $2, $3, $4, $5);

-- name: fix_base_resolution
-- The first leaf decides; returns what holds.
SELECT fix_base_resolution($1);

-- name: begin_split
SELECT begin_split($1, $2::jsonb);

-- name: finish_split
SELECT finish_split($1);

-- name: drop_retired_leaves
SELECT drop_retired_leaves($1);

-- name: read_leaf_sizes
-- Leaves with what merges added since the last folding; those over $1 pictures, and those whose split was interrupted.
SELECT l.cell, l.state, l.pictures + coalesce(sum(d.pictures), 0)::bigint AS pictures
FROM leaves l LEFT JOIN leaf_deltas d USING (cell)
WHERE l.state <> 'retired'
GROUP BY l.cell
HAVING l.state = 'splitting' OR l.pictures + coalesce(sum(d.pictures), 0) > $1
ORDER BY l.resolution, l.cell;
