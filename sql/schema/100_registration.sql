-- Instances that want to join: who asked, how far it is, and the checks of an instance's API with their steps.
CREATE TABLE registrations (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- its address for people; whoever has it may see how far it is, so it cannot be guessed
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    state text NOT NULL DEFAULT 'checking'
        CHECK (state IN ('checking', 'awaiting-proof', 'awaiting-approval', 'approved', 'refused', 'expired')),
    -- why it was refused, for whoever asked
    state_reason text NOT NULL DEFAULT '',
    url text NOT NULL,
    -- host, port and path, however the address is written
    place text NOT NULL,
    name text NOT NULL,
    contact text NOT NULL,
    -- what its operator says of faces and number plates
    blurring text NOT NULL DEFAULT '' CHECK (blurring IN ('', 'automatic', 'by-hand', 'none')),
    cadence_s real,
    note text NOT NULL DEFAULT '',
    -- what is to be published at the instance; no secret, since it is published
    proof text NOT NULL UNIQUE,
    proved_at timestamptz,
    proved_by text NOT NULL DEFAULT '' CHECK (proved_by IN ('', 'well-known', 'dns', 'configuration')),
    -- when the proof was asked for again and was not there any more
    proof_lost_at timestamptz,
    -- hash of the token that is its operator's once it is approved
    token_hash bytea,
    -- a move of this instance to another address instead of a new one
    moves smallint REFERENCES instances ON DELETE CASCADE,
    -- what it became
    instance smallint REFERENCES instances ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    changed_at timestamptz NOT NULL DEFAULT now()
);
-- several for one place: who only says that it is theirs must not keep its operator away
CREATE INDEX registrations_open ON registrations (place)
    WHERE state IN ('checking', 'awaiting-proof', 'awaiting-approval');
CREATE INDEX registrations_instance ON registrations (instance);

CREATE TABLE checks (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
    -- first: a handful of small requests; full: after a proof, with it, and all that takes longer
    kind text NOT NULL CHECK (kind IN ('first', 'full')),
    url text NOT NULL,
    place text NOT NULL,
    registration integer REFERENCES registrations ON DELETE CASCADE,
    asked_at timestamptz NOT NULL DEFAULT now(),
    -- how often a worker began with it; only the last one writes
    attempt integer NOT NULL DEFAULT 0,
    started_at timestamptz,
    ended_at timestamptz,
    -- broken: no worker could bring it to its end
    outcome text NOT NULL DEFAULT '' CHECK (outcome IN ('', 'passed', 'warned', 'failed', 'broken'))
);
-- one at a time for each place; few are open at any time
CREATE UNIQUE INDEX checks_open ON checks (place) WHERE ended_at IS NULL;
CREATE INDEX checks_asked ON checks (asked_at);
CREATE INDEX checks_registration ON checks (registration, n);

CREATE TABLE check_steps (
    n bigint NOT NULL REFERENCES checks ON DELETE CASCADE,
    step smallint NOT NULL,
    name text NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'ok', 'warning', 'failed', 'skipped')),
    -- what was seen: [{"code": ..., "values": {...}}], put into words by federation/check_words.py; never an answer's body
    findings jsonb NOT NULL DEFAULT '[]',
    started_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    PRIMARY KEY (n, step)
);

GRANT SELECT ON checks, check_steps TO panofed_reader;
GRANT SELECT ON registrations, checks, check_steps TO panofed_writer, panofed_operator;
GRANT INSERT, UPDATE ON registrations, checks TO panofed_operator;
GRANT INSERT, UPDATE, DELETE ON registrations, checks, check_steps TO panofed_writer;
