-- A harvester of many workers: shared politeness, ranges of a large instance, follow-ups, reconciliation, freshness.
SET ROLE panofed_owner;

ALTER TABLE instances
    ADD COLUMN cadence_s real,
    ADD COLUMN quiet_hours text NOT NULL DEFAULT '',
    ADD COLUMN pinged_at timestamptz,
    ADD COLUMN listed_at timestamptz,
    ADD COLUMN absence_decided text NOT NULL DEFAULT '' CHECK (absence_decided IN ('', 'confirmed', 'refused'));

ALTER TABLE runs
    ADD COLUMN worker text NOT NULL DEFAULT '',
    ADD COLUMN sequences_reconciled integer NOT NULL DEFAULT 0,
    ADD COLUMN pictures_expected bigint NOT NULL DEFAULT 0,
    ADD COLUMN pictures_skipped bigint NOT NULL DEFAULT 0;

CREATE INDEX sequences_checked ON sequences (instance, checked_at NULLS FIRST) WHERE state = 'merged';

CREATE TABLE paces (
    instance smallint PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    free_at timestamptz NOT NULL DEFAULT '-infinity',
    faults integer NOT NULL DEFAULT 0,
    open_until timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE slots (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    slot smallint NOT NULL,
    holder uuid,
    until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (instance, slot)
);

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

CREATE TABLE followups (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    sequence uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL,
    PRIMARY KEY (instance, sequence)
);

CREATE TABLE absences (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    at timestamptz NOT NULL DEFAULT now(),
    sequences integer NOT NULL,
    pictures bigint NOT NULL,
    PRIMARY KEY (instance, at)
);

CREATE TABLE freshness (
    instance smallint NOT NULL REFERENCES instances ON DELETE CASCADE,
    day date NOT NULL,
    le_s integer NOT NULL,
    changes bigint NOT NULL,
    PRIMARY KEY (instance, day, le_s)
);

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

RESET ROLE;
