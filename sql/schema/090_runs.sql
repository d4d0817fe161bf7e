-- One row per visit to one instance, live while it runs.
CREATE TABLE runs (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance smallint NOT NULL REFERENCES instances,
    started_at timestamptz NOT NULL DEFAULT now(),
    alive_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    phase text NOT NULL DEFAULT 'starting',
    -- done: everything listed is merged; partial: something waits in retries or was put into quarantine; failed: see last_error
    outcome text NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'partial', 'failed', 'interrupted')),
    sequences_seen integer NOT NULL DEFAULT 0,
    sequences_changed integer NOT NULL DEFAULT 0,
    sequences_removed integer NOT NULL DEFAULT 0,
    sequences_failed integer NOT NULL DEFAULT 0,
    sequences_expected integer NOT NULL DEFAULT 0,
    pictures_seen bigint NOT NULL DEFAULT 0,
    pictures_changed bigint NOT NULL DEFAULT 0,
    pictures_removed bigint NOT NULL DEFAULT 0,
    pictures_quarantined bigint NOT NULL DEFAULT 0,
    pictures_not_public bigint NOT NULL DEFAULT 0,
    requests integer NOT NULL DEFAULT 0,
    received_bytes bigint NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    last_error_url text NOT NULL DEFAULT '',
    -- the process that works on it
    worker text NOT NULL DEFAULT '',
    -- read again although nothing announced a change
    sequences_reconciled integer NOT NULL DEFAULT 0,
    -- what the sequences to read say they hold
    pictures_expected bigint NOT NULL DEFAULT 0,
    -- records of a catalog that come from an instance harvested directly, or from us
    pictures_skipped bigint NOT NULL DEFAULT 0,
    -- accounts with another name, and whether the instance had another licence or name: all they stand in is read again
    accounts_renamed integer NOT NULL DEFAULT 0,
    terms_changed integer NOT NULL DEFAULT 0
);
CREATE INDEX runs_instance ON runs (instance, n DESC);
-- Few rows at any time: who works on an instance now is looked up before every visit.
CREATE INDEX runs_running ON runs (instance) WHERE outcome = 'running';

-- Sequences that could not be merged; the cursor goes on without them.
CREATE TABLE retries (
    instance smallint NOT NULL REFERENCES instances,
    sequence uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    since timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL,
    -- the origin's `updated` when it failed: another one is worth a try at once
    updated timestamptz,
    error text NOT NULL,
    url text NOT NULL DEFAULT '',
    PRIMARY KEY (instance, sequence)
);

-- Records that cannot be accepted, with the reason: counts for everybody, ids and bodies for the instance's operator.
CREATE TABLE quarantine (
    instance smallint NOT NULL REFERENCES instances,
    sequence uuid NOT NULL,
    id text NOT NULL,
    field text NOT NULL,
    problem text NOT NULL,
    body bytea,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (instance, sequence, id)
);
