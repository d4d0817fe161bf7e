-- Who may do what. Tables are named one by one: the schema also holds PostGIS's own, which are not ours to grant.
GRANT SELECT ON
    instances, dictionaries, accounts, cameras, licenses, leaves, leaf_deltas, leaf_set, sequences, pictures, locator,
    count_deltas, cell_counts, stale_counts, month_deltas, month_counts, changes, epochs, runs, retries, stale_counts, compactions
    TO panofed_reader, panofed_writer, panofed_operator;
GRANT SELECT ON tombstones TO panofed_reader, panofed_writer, panofed_operator;
GRANT SELECT ON quarantine TO panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON
    instances, dictionaries, accounts, cameras, licenses, sequences, pictures, locator, leaf_deltas, count_deltas,
    cell_counts, stale_counts, month_deltas, month_counts, changes, runs, retries, quarantine TO panofed_writer;
GRANT SELECT ON tile_deltas, tile_versions, grid_scales, grid_scale_now, sequence_lines
    TO panofed_reader, panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON tile_deltas, tile_versions, grid_scales, sequence_lines TO panofed_writer;
GRANT UPDATE ON leaves TO panofed_writer;
GRANT UPDATE (purged_xid, purged_n) ON epochs TO panofed_writer;
GRANT INSERT, UPDATE ON instances TO panofed_operator;
REVOKE EXECUTE ON FUNCTION attach_leaf(bigint), create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint),
    restore_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint)
    TO panofed_writer;

RESET ROLE;
GRANT SELECT ON migrations TO panofed_reader, panofed_writer, panofed_operator;
