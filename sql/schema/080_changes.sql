-- What changed, in an order that no late committer can slip under: readers take only rows whose transaction is older
-- than every running one, ordered (xid, n). A number drawn before commit would let a reader pass a slow transaction.
CREATE TABLE changes (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    n bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT now(),
    instance smallint NOT NULL,
    sequence uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('upsert', 'remove')),
    -- [west, south, east, north] of the sequence before and after
    bbox_before double precision[],
    bbox_after double precision[],
    PRIMARY KEY (xid, n)
);
CREATE INDEX changes_at ON changes USING brin (at);

-- One row: transaction numbers mean nothing after a restore, so tokens carry the epoch they belong to.
CREATE TABLE epochs (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    -- the last change that was purged: who stands before it has missed something
    purged_xid xid8,
    purged_n bigint
);
INSERT INTO epochs DEFAULT VALUES;

-- After a restore: what the log says was numbered by another server.
CREATE FUNCTION restore_epoch() RETURNS uuid
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    DELETE FROM changes;
    UPDATE epochs SET epoch = gen_random_uuid(), purged_xid = NULL, purged_n = NULL RETURNING epoch;
$$;
