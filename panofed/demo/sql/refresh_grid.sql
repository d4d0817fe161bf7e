-- What an instance does at night: the counts shown by its map below zoom 7.
UPDATE refresh_database SET refreshed_at = current_timestamp;
SELECT compute_pictures_aggregate_grid_expired();
