-- The catalog's own needs: sequences by every order a client may ask for, of one account, and those that were removed.
SET ROLE panofed_owner;

ALTER TABLE sequences ADD COLUMN removed_at timestamptz;
CREATE INDEX sequences_removed ON sequences (removed_at, id) WHERE state = 'removed' AND removed_at IS NOT NULL;
CREATE INDEX sequences_updated ON sequences (coalesce(updated, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_changed ON sequences (updated, id) WHERE served;
CREATE INDEX sequences_created ON sequences (coalesce(created, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_latest ON sequences (coalesce(datetime_max, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_account ON sequences (account, id) WHERE served;
CREATE INDEX sequences_copies ON sequences (id) WHERE NOT served AND pictures > 0;

CREATE VIEW tombstones AS
SELECT t.id, t.n, t.instance, t.state, t.served, t.account, t.title, t.license, NULL::timestamptz AS created,
       t.removed_at AS updated, t.removed_at AS indexed, 0 AS pictures, 0 AS pictures_360,
       0::double precision AS length_m, NULL::timestamptz AS datetime_min, NULL::timestamptz AS datetime_max,
       NULL::double precision[] AS bbox, NULL::geometry(Geometry, 4326) AS extent, '{}'::bigint[] AS cells,
       0::smallint AS dictionary, NULL::bytea AS payload, t.removed_at
FROM sequences t
WHERE t.state = 'removed' AND t.removed_at IS NOT NULL
  AND NOT EXISTS (SELECT FROM sequences o WHERE o.id = t.id AND o.n <> t.n
                  AND (o.served OR o.state = 'removed' AND (o.removed_at, o.n) > (t.removed_at, t.n)));
GRANT SELECT ON tombstones TO panofed_reader, panofed_writer, panofed_operator;

-- The change feed tells exactly when it has forgotten what a follower lacks; a restore forgets all of it.
ALTER TABLE epochs
    ADD COLUMN purged_xid xid8,
    ADD COLUMN purged_n bigint;
GRANT UPDATE (purged_xid, purged_n) ON epochs TO panofed_writer;
CREATE OR REPLACE FUNCTION restore_epoch() RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    DELETE FROM changes;
    UPDATE epochs SET epoch = gen_random_uuid(), purged_xid = NULL, purged_n = NULL RETURNING epoch;
$$;

-- Pictures by date without a place, the earliest first, and by when the catalog changed their sequence.
CREATE INDEX sequences_begin ON sequences (datetime_min, n) WHERE pictures > 0;
CREATE INDEX sequences_news ON sequences (indexed, n) WHERE pictures > 0;
-- Tags that few pictures have. Written at once: a list of what is still to be put in would be read by every search.
CREATE INDEX pictures_tags ON pictures USING gin (semantics jsonb_path_ops) WITH (fastupdate = off)
    WHERE semantics IS NOT NULL;

RESET ROLE;
