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
    UNIQUE (id, instance)
);
CREATE UNIQUE INDEX sequences_served ON sequences (id) WHERE served;
CREATE INDEX sequences_extent ON sequences USING gist (extent) WHERE served;
CREATE INDEX sequences_indexed ON sequences (indexed, id) WHERE served;
-- Pictures are found by date through their sequences, which are a hundred times fewer: those around a moment, and those
-- that end before it, the latest first.
CREATE INDEX sequences_dates ON sequences USING gist (tstzrange(datetime_min, datetime_max, '[]')) WHERE pictures > 0;
CREATE INDEX sequences_datetime ON sequences (datetime_max DESC, n DESC) WHERE pictures > 0;
CREATE INDEX sequences_instance ON sequences (instance, n);
-- Rolling reconciliation reads again what was not read for longest.
CREATE INDEX sequences_checked ON sequences (instance, checked_at NULLS FIRST) WHERE state = 'merged';
ALTER TABLE sequences ALTER COLUMN payload SET STORAGE EXTERNAL;
