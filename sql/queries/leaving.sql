-- Instances that leave: not shown from the commit on in which they begin to, then deleted in batches.

-- name: begin_leaving
-- Nobody starts a visit any more, and the run that writes now is fenced off.
UPDATE instances SET state = 'leaving', state_reason = '', run = run + 1
WHERE n = $1 AND state NOT IN ('leaving', 'left') RETURNING id, name;

-- name: recall_instance
-- Files that have something of it are not served any more.
INSERT INTO recalls (cells)
SELECT array_agg(DISTINCT cell) FROM (SELECT unnest(cells) AS cell FROM sequences WHERE instance = $1) AS held
HAVING count(*) > 0;

-- name: hide_leaving
SELECT hide_leaving();

-- name: instances_leaving
SELECT n FROM instances WHERE state = 'leaving' ORDER BY n;

-- name: instance_left
-- Nothing is left of it but who it was, what happened to it, and that sequences of it are gone. A registered one gives its
-- name up: it may come again, as another.
WITH gone_runs AS (DELETE FROM runs WHERE instance = $1::smallint),
    gone_retries AS (DELETE FROM retries WHERE instance = $1::smallint),
    gone_followups AS (DELETE FROM followups WHERE instance = $1::smallint),
    gone_ranges AS (DELETE FROM ranges WHERE instance = $1::smallint),
    gone_quarantine AS (DELETE FROM quarantine WHERE instance = $1::smallint),
    gone_dictionaries AS (DELETE FROM dictionaries WHERE instance = $1::smallint),
    gone_accounts AS (DELETE FROM accounts WHERE instance = $1::smallint),
    gone_freshness AS (DELETE FROM freshness WHERE instance = $1::smallint),
    gone_absences AS (DELETE FROM absences WHERE instance = $1::smallint),
    gone_copies AS (DELETE FROM takedown_copies WHERE instance = $1::smallint),
    gone_tokens AS (UPDATE tokens SET revoked_at = now() WHERE instance = $1::smallint AND revoked_at IS NULL)
UPDATE instances i
SET state = 'left', state_reason = '', contact = '', configuration = '{}', configuration_at = NULL, version = '',
    capabilities = '{}', asset_hosts = '{}', cursor = NULL, crawl_after = NULL, crawl_started = NULL,
    last_success_at = NULL, last_change_at = NULL, last_error = '', failures = 0, pinged_at = NULL, listed_at = NULL,
    absence_decided = '', recheck_before = NULL,
    name = CASE WHEN source = 'file' THEN i.name ELSE left(i.name, 50) || '-left-' || i.n END
FROM (SELECT n, name FROM instances WHERE n = $1::smallint) was
WHERE i.n = was.n AND i.state = 'leaving'
RETURNING was.name;
