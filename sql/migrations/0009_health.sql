-- How every instance is and was: what its visits found day by day, the state that was last told of it, and what waits to
-- be told to whoever asked for it.
SET ROLE panofed_owner;

-- One row for each day on which something was known of an instance.
CREATE TABLE days (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    day date NOT NULL,
    -- visits it answered, and those that failed for a reason of its own; ours (a full disk) are in neither
    visits integer NOT NULL DEFAULT 0,
    failures integer NOT NULL DEFAULT 0,
    -- seconds after visits of both kinds; when nobody looked, nobody knows
    up_s double precision NOT NULL DEFAULT 0,
    down_s double precision NOT NULL DEFAULT 0,
    -- requests, the seconds they took together, and the longest
    requests bigint NOT NULL DEFAULT 0,
    answering_s double precision NOT NULL DEFAULT 0,
    slowest_s double precision NOT NULL DEFAULT 0,
    received_bytes bigint NOT NULL DEFAULT 0,
    pictures_changed bigint NOT NULL DEFAULT 0,
    pictures_removed bigint NOT NULL DEFAULT 0,
    pictures_quarantined bigint NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    -- what was held of it when that was last counted
    pictures bigint,
    pictures_360 bigint,
    sequences integer,
    length_m double precision,
    contributors integer,
    quarantined integer,
    PRIMARY KEY (instance, day)
);

CREATE TABLE health (
    instance smallint PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    -- as it was last told, and since when: an event is noted when this changes. '': nobody has judged it yet
    state text NOT NULL DEFAULT '',
    since timestamptz NOT NULL DEFAULT now(),
    -- since when it is visited again, after it was stopped: nobody is late before there was time for a visit
    resumed_at timestamptz,
    -- what the last visit found, when it ended, until when that is believed, and when the next one was planned
    answered boolean,
    looked_at timestamptz,
    believed_until timestamptz,
    expected_at timestamptz,
    -- when the certificate ends that it showed, where it is asked by https
    certificate_until timestamptz,
    -- when what is held of it was last counted
    counted_at timestamptz
);

-- Events that are to be told, one row for each way of telling: written with the event, gone once it is told.
CREATE TABLE notices (
    event bigint NOT NULL REFERENCES events ON DELETE CASCADE,
    channel text NOT NULL CHECK (channel IN ('webhook', 'mail')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL DEFAULT now(),
    last_error text NOT NULL DEFAULT '',
    PRIMARY KEY (event, channel)
);
CREATE INDEX notices_next ON notices (channel, next_at);

CREATE FUNCTION queue_notices() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    INSERT INTO notices (event, channel) VALUES (NEW.n, 'webhook'), (NEW.n, 'mail');
    RETURN NULL;
END
$$;
REVOKE EXECUTE ON FUNCTION queue_notices() FROM PUBLIC;
CREATE TRIGGER events_are_told AFTER INSERT ON events FOR EACH ROW EXECUTE FUNCTION queue_notices();

GRANT SELECT ON days, health, notices TO panofed_reader, panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON days, health, notices TO panofed_writer;

-- Those that were here before are no news.
INSERT INTO health (instance, state) SELECT n, 'fresh' FROM instances WHERE last_success_at IS NOT NULL;

RESET ROLE;
