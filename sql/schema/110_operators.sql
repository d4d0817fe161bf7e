-- Operators and administrators: what lets a browser in.
-- An address that lets somebody in once: sent to an operator, exchanged for a session. Only a hash is kept.
CREATE TABLE links (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    scope text NOT NULL CHECK (scope IN ('operator', 'admin')),
    instance smallint REFERENCES instances ON DELETE CASCADE,
    -- who made it, as in events.actor
    made_by text NOT NULL,
    label text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    revoked_at timestamptz,
    CHECK ((scope = 'admin') = (instance IS NULL))
);

-- Somebody's browser that was let in by a link or a token; it ends with either. Only a hash of its cookie is kept.
CREATE TABLE sessions (
    n integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    scope text NOT NULL CHECK (scope IN ('operator', 'admin')),
    instance smallint REFERENCES instances ON DELETE CASCADE,
    link integer REFERENCES links ON DELETE CASCADE,
    token integer REFERENCES tokens ON DELETE CASCADE,
    created_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    CHECK ((scope = 'admin') = (instance IS NULL)),
    CHECK (num_nonnulls(link, token) = 1)
);
CREATE INDEX sessions_link ON sessions (link);
CREATE INDEX sessions_token ON sessions (token);

GRANT SELECT, INSERT, UPDATE ON links, sessions TO panofed_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON links, sessions TO panofed_writer;
-- who resumes an instance closes its breaker
GRANT UPDATE (faults, open_until) ON paces TO panofed_operator;
