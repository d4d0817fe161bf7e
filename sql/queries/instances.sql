-- name: lock_registry
-- One process at a time reads the file into the table; the number only has to differ from other advisory locks.
SELECT pg_advisory_xact_lock(7340022);

-- name: read_registry
SELECT n, id, name, url, state, state_reason, source, requests_per_s, concurrency, contact, cadence_s, quiet_hours,
       asset_hosts
FROM instances ORDER BY n;

-- name: add_instance
INSERT INTO instances (id, name, url, state, state_reason, requests_per_s, concurrency, contact, source, cadence_s,
                       quiet_hours, asset_hosts)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12);

-- name: change_instance
-- A new address is asked again what it can do, and everything is read again, because items name the address in their
-- assets; one whose state changes is due at once.
WITH moved AS (
    UPDATE sequences SET updated = NULL, hash = 0
    WHERE instance = $1::smallint AND EXISTS (SELECT FROM instances WHERE n = $1::smallint AND url <> $3)
), uncut AS (
    DELETE FROM ranges
    WHERE instance = $1::smallint AND EXISTS (SELECT FROM instances WHERE n = $1::smallint AND url <> $3)
)
UPDATE instances SET
    name = $2, url = $3, state = $4, state_reason = $5,
    requests_per_s = $6, concurrency = $7, contact = $8, source = $9, cadence_s = $10, quiet_hours = $11,
    asset_hosts = $12,
    capabilities = CASE WHEN url = $3 THEN capabilities ELSE '{}' END,
    failures = CASE WHEN url = $3 THEN failures ELSE 0 END,
    cursor = CASE WHEN url = $3 THEN cursor END,
    crawl_after = CASE WHEN url = $3 THEN crawl_after END,
    crawl_started = CASE WHEN url = $3 THEN crawl_started END,
    configuration_at = CASE WHEN url = $3 THEN configuration_at END,
    next_visit_at = CASE WHEN url = $3 AND state = $4 THEN next_visit_at ELSE now() END
WHERE n = $1::smallint;

-- name: rename_instance
UPDATE instances SET name = $2 WHERE n = $1;

-- name: set_instance_state
-- Somebody who resumes an instance knows that it is well: the breaker is closed.
WITH closed AS (
    UPDATE paces SET faults = 0, open_until = '-infinity'
    WHERE instance = $1::smallint AND $2 = 'enabled' AND faults > 0
)
UPDATE instances SET
    state = $2, state_reason = $3, operator_paused = false,
    next_visit_at = CASE WHEN $2 = 'enabled' THEN now() ELSE next_visit_at END
WHERE n = $1::smallint;

-- name: list_instances
-- For people: what is held of each instance. `pictures` counts what the sequences serve.
SELECT i.n, i.id, i.name, i.url, i.source, i.state, i.state_reason, i.cadence_s, i.quiet_hours, i.version, i.last_success_at, i.last_error, i.failures,
    i.capabilities, i.absence_decided, i.next_visit_at,
    (SELECT count(*) FROM retries r WHERE r.instance = i.n) AS retries,
    coalesce(i.configuration #>> '{license,id}', '') AS license,
    coalesce(s.sequences, 0) AS sequences, coalesce(s.pictures, 0) AS pictures, now() AS at
FROM instances i
LEFT JOIN (
    SELECT instance, count(*) AS sequences, sum(pictures)::bigint AS pictures
    FROM sequences WHERE state = 'merged' GROUP BY instance
) s ON s.instance = i.n
ORDER BY i.name;

-- name: delete_instance
-- The last step of a removal, after its pictures are gone: everything that names the instance, and its row.
WITH gone_runs AS (DELETE FROM runs WHERE instance = $1),
    gone_retries AS (DELETE FROM retries WHERE instance = $1),
    gone_quarantine AS (DELETE FROM quarantine WHERE instance = $1),
    gone_sequences AS (DELETE FROM sequences WHERE instance = $1),
    gone_dictionaries AS (DELETE FROM dictionaries WHERE instance = $1),
    gone_accounts AS (DELETE FROM accounts WHERE instance = $1)
DELETE FROM instances WHERE n = $1;
