-- Pictures, mean bytes of their payload, leaves that hold pictures, bytes of the dictionaries, bytes of the database.
SELECT
    (SELECT count(*) FROM pictures),
    (SELECT coalesce(avg(octet_length(payload)), 0)::float8 FROM pictures),
    (SELECT count(*) FROM leaves WHERE state <> 'retired' AND pictures > 0),
    (SELECT pg_total_relation_size('dictionaries')),
    pg_database_size(current_database());
