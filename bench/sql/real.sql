-- A real instance's own tables (GeoVisio 2.15.1): many sequences from one, and edits of all of them.

-- name: real_clone
-- $1 copies of the sequence: new ids, the same pictures a little further north. Its triggers would compute each anew.
SET session_replication_role = replica;
CREATE TEMP TABLE copies AS
SELECT uuid_generate_v4() AS new_id, n, id AS old_id FROM sequences, generate_series(1, {copies}) AS n;
INSERT INTO sequences (id, status, metadata, geom, account_id, inserted_at, updated_at, computed_type, computed_model,
    computed_capture_date, current_sort, bbox, min_picture_ts, max_picture_ts, nb_pictures, user_agent,
    computed_h_pixel_density, computed_gps_accuracy, upload_set_id, visibility)
SELECT c.new_id, s.status, s.metadata, ST_Translate(s.geom, 0, 0.001 * c.n), s.account_id, s.inserted_at, s.updated_at,
    s.computed_type, s.computed_model, s.computed_capture_date, s.current_sort, s.bbox, s.min_picture_ts,
    s.max_picture_ts, s.nb_pictures, s.user_agent, s.computed_h_pixel_density, s.computed_gps_accuracy,
    s.upload_set_id, s.visibility
FROM copies c JOIN sequences s ON s.id = c.old_id;
CREATE TEMP TABLE pairs AS
SELECT uuid_generate_v4() AS new_id, c.new_id AS seq_id, c.n, sp.rank, sp.pic_id AS old_id
FROM copies c JOIN sequences_pictures sp ON sp.seq_id = c.old_id;
INSERT INTO pictures (id, status, ts, heading, metadata, geom, account_id, inserted_at, processed_at, heading_computed,
    exif, preparing_status, upload_set_id, gps_accuracy_m, h_pixel_density, updated_at, visibility)
SELECT w.new_id, p.status, p.ts, p.heading, p.metadata, ST_Translate(p.geom, 0, 0.001 * w.n), p.account_id, p.inserted_at,
    p.processed_at, p.heading_computed, p.exif, p.preparing_status, p.upload_set_id, p.gps_accuracy_m,
    p.h_pixel_density, p.updated_at, p.visibility
FROM pairs w JOIN pictures p ON p.id = w.old_id;
INSERT INTO sequences_pictures (seq_id, rank, pic_id) SELECT seq_id, rank, new_id FROM pairs;

-- name: real_edit
-- Five pictures of every sequence look elsewhere; their sequences say that they changed.
SET session_replication_role = replica;
UPDATE pictures p SET heading = (coalesce(p.heading, 0) + 7) % 360, updated_at = clock_timestamp()
FROM sequences_pictures sp WHERE sp.pic_id = p.id AND sp.rank <= 5;
UPDATE sequences SET updated_at = clock_timestamp();
