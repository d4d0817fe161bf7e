-- Who is harvested. Identity is the stable id of instances.yaml: name and address may change.
CREATE TABLE instances (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    name text NOT NULL UNIQUE,
    url text NOT NULL,
    state text NOT NULL CHECK (state IN ('enabled', 'disabled', 'paused', 'braked', 'leaving', 'left')),
    -- why it is paused or braked, for people
    state_reason text NOT NULL DEFAULT '',
    registered_at timestamptz NOT NULL DEFAULT now(),
    -- 'file': its entry in instances.yaml rules it, and its vanishing pauses it
    source text NOT NULL DEFAULT 'file',
    -- politeness, where the entry sets its own; else the settings' (0 requests a second: no limit)
    requests_per_s real,
    concurrency smallint,
    -- whom to write to about it
    contact text NOT NULL DEFAULT '',
    configuration jsonb NOT NULL DEFAULT '{}',
    configuration_at timestamptz,
    version text NOT NULL DEFAULT '',
    -- what was learnt about its API, e.g. {"listing": "id"}: see harvester/client.py
    capabilities jsonb NOT NULL DEFAULT '{}',
    -- hosts the redirects to pictures may name, besides the instance's own
    asset_hosts text[] NOT NULL DEFAULT '{}',
    -- greatest `updated` of the instance below which everything is merged or stands in retries
    cursor timestamptz,
    -- a first crawl goes by id; it resumes after this one, and its cursor will be the clock of its start
    crawl_after uuid,
    crawl_started timestamptz,
    -- the run that may write for this instance: an older one is fenced off
    run bigint NOT NULL DEFAULT 0,
    last_attempt_at timestamptz,
    last_success_at timestamptz,
    last_change_at timestamptz,
    failures integer NOT NULL DEFAULT 0,
    last_error text NOT NULL DEFAULT '',
    next_visit_at timestamptz NOT NULL DEFAULT now(),
    -- where the entry sets its own: seconds between visits, and the hours without visits, 'HH:MM-HH:MM' in UTC
    cadence_s real,
    quiet_hours text NOT NULL DEFAULT '',
    -- when somebody told us that it changed
    pinged_at timestamptz,
    -- last complete listing of its ids: what it lacks is inferred to be gone
    listed_at timestamptz,
    -- what a person said about inferred absence after the brake: holds for the next complete listing
    absence_decided text NOT NULL DEFAULT '' CHECK (absence_decided IN ('', 'confirmed', 'refused')),
    -- what was read before is to be read again, the longest unread first
    recheck_before timestamptz,
    -- conformance classes of its landing page, to notice when one is lost
    conforms text[] NOT NULL DEFAULT '{}',
    -- whether its operator paused it, who may resume it then; an administrator's pause is only an administrator's to end
    operator_paused boolean NOT NULL DEFAULT false
);

-- zstd dictionaries, trained on one instance's own items and never shared: they hold literal EXIF.
CREATE TABLE dictionaries (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    instance smallint NOT NULL REFERENCES instances,
    content bytea NOT NULL,
    trained_on integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
ALTER TABLE dictionaries ALTER COLUMN content SET STORAGE EXTERNAL;

-- Contributors. One person has one account per instance.
CREATE TABLE accounts (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id uuid NOT NULL,
    instance smallint NOT NULL REFERENCES instances,
    name text NOT NULL,
    -- when another name of it last made its sequences due
    renamed_at timestamptz,
    UNIQUE (id, instance)
);

CREATE TABLE cameras (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    manufacturer text NOT NULL,
    model text NOT NULL,
    UNIQUE (manufacturer, model)
);

CREATE TABLE licenses (
    n smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE
);
