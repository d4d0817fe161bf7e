-- Pictures and sequences that are not shown, whoever has them, until an administrator ends it.
CREATE TABLE takedowns (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('picture', 'sequence')),
    id uuid NOT NULL,
    reason text NOT NULL,
    -- as in events
    actor text NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    ended_by text NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX takedowns_active ON takedowns (kind, id) WHERE ended_at IS NULL;

-- Who had a copy of it when it was taken down, or brought one since: what is read again when it ends.
CREATE TABLE takedown_copies (
    takedown integer NOT NULL REFERENCES takedowns ON DELETE CASCADE,
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    -- its sequences.id
    sequence uuid NOT NULL,
    PRIMARY KEY (takedown, instance, sequence)
);

-- What was taken out by somebody's word, by the leaves it was in: files written before are not served any more. Numbers are in
-- the order of commits, since all who write here hold one lock.
CREATE TABLE recalls (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    cells bigint[] NOT NULL
);

-- After instances began to leave, or left: who is hidden, known to all readers at their next statement, and drawn nowhere.
-- One after the other, so that the later knows of the earlier.
CREATE FUNCTION hide_leaving() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
AS $$
    SELECT pg_advisory_xact_lock(lock_key('leaving'));
    UPDATE leaf_set SET version = version + 1,
                        hidden = ARRAY(SELECT n FROM instances WHERE state = 'leaving' ORDER BY n);
    INSERT INTO tile_deltas (tile) SELECT DISTINCT tiles_of(ARRAY[-180, -90, 180, 90]::double precision[]);
$$;

GRANT SELECT ON takedowns, takedown_copies, recalls TO panofed_reader, panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON takedowns, takedown_copies TO panofed_writer;
GRANT INSERT ON recalls TO panofed_writer;
REVOKE EXECUTE ON FUNCTION hide_leaving() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION hide_leaving() TO panofed_writer, panofed_operator;
