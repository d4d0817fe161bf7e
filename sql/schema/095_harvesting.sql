-- What all workers share and what is known of each instance between visits.

-- How fast an instance may be asked, for all workers together: when the next request may go, how many faults it gave in a
-- row, and until when nobody asks it at all (the circuit breaker).
CREATE TABLE paces (
    instance smallint PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    free_at timestamptz NOT NULL DEFAULT '-infinity',
    faults integer NOT NULL DEFAULT 0,
    open_until timestamptz NOT NULL DEFAULT '-infinity',
    -- who waited last for a slot: those who have one step back
    wanted_at timestamptz NOT NULL DEFAULT '-infinity',
    wanted_by uuid,
    -- when its robots.txt and landing page allowed the harvest, at which address, and how fast they let us be
    rules_at timestamptz,
    rules_url text NOT NULL DEFAULT '',
    crawl_delay_s real NOT NULL DEFAULT 0
);

-- Requests that may be open at one time. A slot is a lease: one whose holder died is free again after `until`.
CREATE TABLE slots (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    slot smallint NOT NULL,
    holder uuid,
    until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (instance, slot)
);

-- A first crawl cut into ranges of ids, (low, high], which several workers read at once. `token` rises whenever a range
-- is taken: who holds an older one was replaced, and writes nothing more.
CREATE TABLE ranges (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    low uuid NOT NULL,
    high uuid NOT NULL,
    after uuid,
    done boolean NOT NULL DEFAULT false,
    token bigint NOT NULL DEFAULT 0,
    worker text NOT NULL DEFAULT '',
    alive_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (instance, low)
);

-- Sequences whose pictures were still being processed when they were read: nothing announces the rest.
CREATE TABLE followups (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    sequence uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL,
    PRIMARY KEY (instance, sequence)
);

-- Inferred absence that was applied: the brake judges the sum of a day.
CREATE TABLE absences (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    sequences integer NOT NULL,
    pictures bigint NOT NULL,
    PRIMARY KEY (instance, at)
);

-- How long changes took from the origin's `updated` to our commit: a histogram by instance and day, `le_s` is the upper
-- bound of its bucket in seconds.
CREATE TABLE freshness (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    day date NOT NULL,
    le_s integer NOT NULL,
    changes bigint NOT NULL,
    PRIMARY KEY (instance, day, le_s)
);

-- What lets an operator or an administrator in. Only a hash is kept; a token is shown once.
CREATE TABLE tokens (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    scope text NOT NULL CHECK (scope IN ('ping', 'operator', 'admin')),
    instance smallint REFERENCES instances ON DELETE CASCADE,
    label text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    used_at timestamptz,
    CHECK ((scope = 'admin') = (instance IS NULL))
);

GRANT SELECT ON paces, slots, ranges, followups, absences, freshness TO panofed_reader, panofed_writer, panofed_operator;
GRANT INSERT, UPDATE, DELETE ON paces, slots, ranges, followups, absences, freshness TO panofed_writer;
GRANT SELECT, INSERT, UPDATE ON tokens TO panofed_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON tokens TO panofed_writer;
