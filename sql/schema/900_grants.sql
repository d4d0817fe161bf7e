-- Who may do what.
GRANT SELECT ON ALL TABLES IN SCHEMA public TO panofed_reader, panofed_writer, panofed_operator;
REVOKE SELECT ON quarantine FROM panofed_reader;
GRANT INSERT, UPDATE, DELETE ON
    instances, dictionaries, accounts, cameras, licenses, sequences, pictures, locator, leaf_deltas, count_deltas,
    cell_counts, month_deltas, month_counts, changes, runs, retries, quarantine TO panofed_writer;
GRANT UPDATE ON leaves TO panofed_writer;
GRANT INSERT, UPDATE ON instances TO panofed_operator;
REVOKE EXECUTE ON FUNCTION attach_leaf(bigint), create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint), restore_epoch() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION create_leaf(bigint, float8, float8, float8, float8),
    begin_split(bigint, jsonb), finish_split(bigint), drop_retired_leaves(interval), fix_base_resolution(smallint) TO panofed_writer;

RESET ROLE;
