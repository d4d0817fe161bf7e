-- Sequences (STAC collections). A row comes when the sequence is first listed and serves once it is merged.
CREATE TABLE sequences (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    -- what the origin calls it, where that is no UUID
    origin_id text,
    instance smallint NOT NULL REFERENCES instances,
    -- pending: listed, not merged yet; merged; removed: the instance deleted or hid it
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'merged', 'removed')),
    -- the copy of its id that is shown; copies of other instances are not
    served boolean NOT NULL DEFAULT false,
    account integer,
    title text NOT NULL DEFAULT '',
    license text NOT NULL DEFAULT '',
    created timestamptz,
    -- the origin's; compared with <> because it can go backwards
    updated timestamptz,
    -- when this catalog last changed anything of it: the cursor for those who harvest us
    indexed timestamptz NOT NULL DEFAULT now(),
    checked_at timestamptz,
    hash bigint NOT NULL DEFAULT 0,
    -- computed from the served pictures, since the origin's can be stale, count hidden ones or be wrong at 180 degrees
    pictures integer NOT NULL DEFAULT 0,
    pictures_360 integer NOT NULL DEFAULT 0,
    length_m double precision NOT NULL DEFAULT 0,
    datetime_min timestamptz,
    datetime_max timestamptz,
    -- [west, south, east, north], west > east across the antimeridian
    bbox double precision[],
    -- the same as one or two boxes, for the spatial index
    extent geometry(Geometry, 4326),
    -- MultiLineString as TWKB with six decimals, 0.1 m: a fifth of the bytes, and finer than a pixel of any tile
    lines bytea,
    -- cells of the leaves its pictures are in (a leaf that has split since stands for its children)
    cells bigint[] NOT NULL DEFAULT '{}',
    dictionary smallint NOT NULL DEFAULT 0,
    payload bytea,
    -- when it was taken back, if it had been served before; a tombstone is shown only then
    removed_at timestamptz,
    UNIQUE (id, instance)
);
CREATE UNIQUE INDEX sequences_served ON sequences (id) WHERE served;
-- Copies that are not shown themselves, but have pictures nobody else has: few.
CREATE INDEX sequences_copies ON sequences (id) WHERE NOT served AND pictures > 0;
CREATE INDEX sequences_extent ON sequences USING gist (extent) WHERE served;
CREATE INDEX sequences_place ON sequences USING gist (extent) WHERE pictures > 0;
CREATE INDEX sequences_indexed ON sequences (indexed, id) WHERE served;
-- Pictures are found by date through their sequences, which are a hundred times fewer: those around a moment, and those
-- that end before it, the latest first.
CREATE INDEX sequences_dates ON sequences USING gist (tstzrange(datetime_min, datetime_max, '[]')) WHERE pictures > 0;
CREATE INDEX sequences_datetime ON sequences (datetime_max DESC, n DESC) WHERE pictures > 0;
CREATE INDEX sequences_begin ON sequences (datetime_min, n) WHERE pictures > 0;
CREATE INDEX sequences_news ON sequences (indexed, n) WHERE pictures > 0;
CREATE INDEX sequences_instance ON sequences (instance, n);
-- Rolling reconciliation reads again what was not read for longest.
CREATE INDEX sequences_checked ON sequences (instance, checked_at NULLS FIRST) WHERE state = 'merged';
-- The orders in which sequences are listed; what has no date counts as older than everything.
CREATE INDEX sequences_updated ON sequences (coalesce(updated, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_created ON sequences (coalesce(created, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_latest ON sequences (coalesce(datetime_max, '1000-01-01 00:00:00+00'), id) WHERE served;
CREATE INDEX sequences_account ON sequences (account, id) WHERE served;
-- Who follows an instance or a catalog asks for what changed after a date.
CREATE INDEX sequences_changed ON sequences (updated, id) WHERE served;
CREATE INDEX sequences_removed ON sequences (removed_at, id) WHERE state = 'removed' AND removed_at IS NOT NULL;
ALTER TABLE sequences ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Sequences that were served once and were taken back, as lists show them: with nothing but the fact. One that several
-- instances had is among them when none serves it any more, once.
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
