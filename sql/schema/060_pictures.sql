-- Pictures (STAC items), one partition per leaf. Columns are ordered by alignment: 8 bytes, 4, 2, 1, 16, variable.
-- What clients filter, sort, draw or join on is a column; the rest of the item, as the origin said it, is `payload`.
-- `cell` is never updated (a moved picture is deleted and inserted), and every key begins with it: so the table can be
-- distributed by `cell` as it is.
CREATE TABLE pictures (
    -- the leaf
    cell bigint NOT NULL,
    -- H3 cell at resolution 11: counts, and the leaf after a split, come from it
    h3 bigint NOT NULL,
    datetime timestamptz NOT NULL,
    created timestamptz,
    updated timestamptz,
    -- when this catalog last changed it
    indexed timestamptz NOT NULL,
    -- of the origin's bytes: what tells a change, since `updated` does not
    hash bigint NOT NULL,
    -- where the neighbours are: links need it
    prev_at point,
    next_at point,
    -- sequences.n
    sequence integer NOT NULL,
    rank integer NOT NULL,
    -- accounts.n, cameras.n
    account integer,
    camera integer,
    original_bytes integer,
    field_of_view real,
    -- metres
    accuracy_m real,
    -- pixels per degree
    pixel_density real,
    instance smallint NOT NULL,
    license smallint,
    -- degrees, 0-359
    azimuth smallint,
    -- dictionaries.n, 0 for none
    dictionary smallint NOT NULL,
    is_360 boolean NOT NULL,
    -- the copy of its id that is shown
    served boolean NOT NULL,
    id uuid NOT NULL,
    -- neighbours among the served pictures of the sequence
    prev_id uuid,
    next_id uuid,
    geom geometry(Point, 4326) NOT NULL,
    -- [{"key", "value"}] of picture, annotations and sequence
    semantics jsonb,
    payload bytea NOT NULL,
    -- in this order it is also the index of a sequence's pictures by rank, and grows at its end: 90 % full pages
    PRIMARY KEY (cell, sequence, rank, id)
) PARTITION BY LIST (cell);
CREATE INDEX pictures_geom ON pictures USING gist (geom);
-- Tags that few pictures have. Written at once: a list of what is still to be put in would be read by every search.
CREATE INDEX pictures_tags ON pictures USING gin (semantics jsonb_path_ops) WITH (fastupdate = off)
    WHERE semantics IS NOT NULL;
-- Pictures that look in a direction: alone of what filters ask, the heading differs from picture to picture. 7 bytes each.
CREATE INDEX pictures_azimuth ON pictures (azimuth);
-- it is compressed already
ALTER TABLE pictures ALTER COLUMN payload SET STORAGE EXTERNAL;

-- Where the picture <id> is: one probe, and the row to lock when a picture moves.
CREATE TABLE locator (
    cell bigint NOT NULL,
    id uuid NOT NULL,
    sequence integer NOT NULL,
    rank integer NOT NULL,
    instance smallint NOT NULL,
    -- 0 for the served copy of this id, else the instance: the key itself makes two served copies impossible
    copy smallint NOT NULL,
    CHECK (copy IN (0, instance)),
    PRIMARY KEY (id, copy)
);
