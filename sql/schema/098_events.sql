-- What happened to instances and who did it: the audit log, the feed of the federation and what is notified.
CREATE TABLE events (
    n bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    -- one of federation/events.py
    kind text NOT NULL,
    -- null when its row is gone
    instance smallint REFERENCES instances ON DELETE SET NULL,
    -- what it is about where that is no instance yet or not only it: an address, the id of a picture
    subject text NOT NULL DEFAULT '',
    -- 'harvester', 'file', 'command line', 'token N', 'visitor'
    actor text NOT NULL,
    -- whether everybody may read it in the feed; the rest is for administrators and the instance's operator
    public boolean NOT NULL,
    -- never a token, never an id that is not public
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX events_at ON events (at);
CREATE INDEX events_instance ON events (instance, n);

CREATE VIEW public_events AS SELECT n, at, kind, instance, subject, details FROM events WHERE public;

GRANT SELECT ON public_events TO panofed_reader, panofed_writer, panofed_operator;
GRANT SELECT, INSERT ON events TO panofed_writer, panofed_operator;
GRANT DELETE ON events TO panofed_writer;
