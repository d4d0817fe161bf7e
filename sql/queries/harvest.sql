-- What the harvester reads and writes besides the merge of a batch.
--
-- Every statement of a visit that writes takes effect only while `instances.run` is the number of that visit: a worker
-- that was frozen and replaced must change nothing when it wakes. Single statements have it in their condition, a merge
-- holds the row (`hold_run` in merge.sql).

-- name: read_due_instances
-- Instances to visit now; with $1, all that are enabled. One that somebody visits is not due; its lease is $2.
-- `pinged`: somebody said since the last visit began that it changed. `unchanged`: how long ago it last did. $3: only
-- this one, unless it is 0.
SELECT n, id, name, url, capabilities, cursor, crawl_after, crawl_started, failures, configuration_at, concurrency,
       requests_per_s, cadence_s, quiet_hours, listed_at, now() - coalesce(last_change_at, registered_at) AS unchanged,
       coalesce(pinged_at > last_attempt_at, pinged_at IS NOT NULL) AS pinged
FROM instances i
WHERE state = 'enabled' AND ($3::integer = 0 OR n = $3) AND ($1::boolean OR next_visit_at <= now()
      AND NOT EXISTS (SELECT FROM runs r
                      WHERE r.instance = i.n AND r.outcome = 'running' AND r.alive_at > now() - $2::interval))
ORDER BY next_visit_at, n;

-- name: hold_instance
-- Two that want to visit it come one after the other: who is second sees the run of the first.
SELECT state FROM instances WHERE n = $1 FOR UPDATE;

-- name: start_run
-- The run that may write from now on ($2: its worker), unless one is alive: it gave a sign of life within its lease $3.
-- $4: a run whose process is known to be gone. Whoever worked on an older one is fenced off.
WITH started AS (
    INSERT INTO runs (instance, worker)
    SELECT n, $2 FROM instances i
    WHERE n = $1::smallint AND state = 'enabled'
      AND NOT EXISTS (SELECT FROM runs r WHERE r.instance = i.n AND r.outcome = 'running'
                      AND r.alive_at > clock_timestamp() - $3::interval AND r.n IS DISTINCT FROM $4::bigint)
    RETURNING n
), interrupted AS (
    UPDATE runs SET outcome = 'interrupted', ended_at = alive_at
    WHERE instance = $1::smallint AND outcome = 'running' AND EXISTS (SELECT FROM started)
)
UPDATE instances SET run = started.n, last_attempt_at = now() FROM started WHERE instances.n = $1::smallint
RETURNING started.n;

-- name: run_alive
-- The sign of life of the run that visits an instance, if there is one.
SELECT n, alive_at, worker, alive_at > clock_timestamp() - $2::interval AS alive
FROM runs WHERE instance = $1 AND outcome = 'running' ORDER BY n DESC LIMIT 1;

-- name: run_to_help
-- The run of an instance that others may help with: it is alive, and there are ranges that are not done.
SELECT r.n, r.worker FROM instances i JOIN runs r ON r.n = i.run
WHERE i.n = $1 AND r.outcome = 'running' AND r.alive_at > clock_timestamp() - $2::interval
  AND EXISTS (SELECT FROM ranges g WHERE g.instance = i.n AND NOT g.done);

-- name: report_run
-- A sign of life, and what came to the counters since the last one; helpers add to the same row. No row: replaced.
UPDATE runs r SET alive_at = clock_timestamp(), phase = $2,
    last_error = CASE WHEN $3 = '' THEN r.last_error ELSE $3 END,
    last_error_url = CASE WHEN $3 = '' THEN r.last_error_url ELSE $4 END,
    sequences_seen = sequences_seen + $5, sequences_changed = sequences_changed + $6,
    sequences_removed = sequences_removed + $7, sequences_failed = sequences_failed + $8,
    sequences_expected = sequences_expected + $9, sequences_reconciled = sequences_reconciled + $10,
    pictures_seen = pictures_seen + $11, pictures_changed = pictures_changed + $12,
    pictures_removed = pictures_removed + $13, pictures_quarantined = pictures_quarantined + $14,
    pictures_not_public = pictures_not_public + $15, pictures_expected = pictures_expected + $16,
    pictures_skipped = pictures_skipped + $17, requests = requests + $18, received_bytes = received_bytes + $19,
    accounts_renamed = accounts_renamed + $20, terms_changed = terms_changed + $21
FROM instances i
WHERE r.n = $1 AND i.n = r.instance AND i.run = r.n AND r.outcome = 'running'
RETURNING r.*;

-- name: report_help
-- The same by a helper: the sign of life stays the leader's. No row: nobody is to be helped any more.
UPDATE runs r SET
    last_error = CASE WHEN $2 = '' THEN r.last_error ELSE $2 END,
    last_error_url = CASE WHEN $2 = '' THEN r.last_error_url ELSE $3 END,
    sequences_seen = sequences_seen + $4, sequences_changed = sequences_changed + $5,
    sequences_removed = sequences_removed + $6, sequences_failed = sequences_failed + $7,
    sequences_expected = sequences_expected + $8, sequences_reconciled = sequences_reconciled + $9,
    pictures_seen = pictures_seen + $10, pictures_changed = pictures_changed + $11,
    pictures_removed = pictures_removed + $12, pictures_quarantined = pictures_quarantined + $13,
    pictures_not_public = pictures_not_public + $14, pictures_expected = pictures_expected + $15,
    pictures_skipped = pictures_skipped + $16, requests = requests + $17, received_bytes = received_bytes + $18,
    accounts_renamed = accounts_renamed + $19, terms_changed = terms_changed + $20
FROM instances i
WHERE r.n = $1 AND i.n = r.instance AND i.run = r.n AND r.outcome = 'running'
RETURNING r.n;

-- name: end_run
UPDATE runs SET ended_at = now(), alive_at = now(), outcome = $2, phase = 'ended' WHERE n = $1 AND outcome = 'running';

-- name: visit_succeeded
-- Somebody who told of a change while it was visited is heard at once.
UPDATE instances i
SET last_success_at = now(), failures = 0, last_error = '',
    next_visit_at = CASE WHEN pinged_at > r.started_at THEN now() ELSE now() + $3::interval END,
    last_change_at = CASE WHEN $4 THEN now() ELSE last_change_at END
FROM runs r
WHERE i.n = $1 AND i.run = $2 AND r.n = $2;

-- name: visit_failed
UPDATE instances i
SET failures = failures + 1, last_error = $3,
    next_visit_at = CASE WHEN pinged_at > r.started_at THEN now() ELSE now() + $4::interval END
FROM runs r
WHERE i.n = $1 AND i.run = $2 AND r.n = $2;

-- name: visit_not_started
-- It failed before there was a run, for want of room.
UPDATE instances SET failures = failures + 1, last_error = $2, next_visit_at = now() + $3::interval WHERE n = $1;

-- name: advance_cursor
-- Everything the instance changed up to here is merged or stands in retries. A first crawl is a complete listing too,
-- and has done with its ranges.
WITH moved AS (
    UPDATE instances SET cursor = greatest(cursor, $2), crawl_after = NULL, crawl_started = NULL,
           listed_at = CASE WHEN cursor IS NULL THEN coalesce(listed_at, now()) ELSE listed_at END
    WHERE n = $1::smallint AND run = $3
    RETURNING n
)
DELETE FROM ranges WHERE instance IN (SELECT n FROM moved);

-- name: advance_first_crawl
UPDATE instances SET crawl_after = $2, crawl_started = coalesce(crawl_started, $3) WHERE n = $1 AND run = $4;

-- name: keep_capabilities
UPDATE instances SET capabilities = $2::jsonb WHERE n = $1 AND run = $3;

-- name: keep_configuration
-- Its licence or name stands in every item, and no date of theirs moves with it: all of them are read again then, and it is
-- `moved`. Besides, which version it was and what it conformed to before.
UPDATE instances i SET configuration = $2::jsonb, configuration_at = now(), version = $3, conforms = $5,
       recheck_before = CASE WHEN old.moved THEN now() ELSE recheck_before END
FROM (
    SELECT n, version, conforms, configuration <> '{}' AND (configuration -> 'license', configuration -> 'name')
                                         IS DISTINCT FROM ($2::jsonb -> 'license', $2::jsonb -> 'name') AS moved
    FROM instances WHERE n = $1
) old
WHERE i.n = old.n AND i.run = $4
RETURNING old.moved, old.version, old.conforms;

-- name: forget_conformance
-- Its landing page is no more that of an API that can be harvested; nothing when that was known.
UPDATE instances SET conforms = '{}' WHERE n = $1 AND run = $2 AND conforms <> '{}' RETURNING n;

-- name: known_sequences
-- What is known of sequences just listed; `waiting`: it stands in retries, its time has not come, and it had failed as
-- `failed_as`. The state of one that is taken down is 'withheld'.
SELECT s.id, s.n, s.updated, s.hash, r.next_at > now() AS waiting, r.updated AS failed_as,
       CASE WHEN EXISTS (SELECT FROM takedowns t WHERE t.kind = 'sequence' AND t.id = s.id AND t.ended_at IS NULL)
            THEN 'withheld' ELSE s.state END AS state
FROM sequences s LEFT JOIN retries r ON r.instance = s.instance AND r.sequence = s.id
WHERE s.instance = $1 AND s.id = ANY($2::uuid[]);

-- name: add_sequences
INSERT INTO sequences (id, instance, origin_id)
SELECT id, $1::smallint, origin_id FROM unnest($2::uuid[], $3::text[]) AS listed (id, origin_id)
WHERE EXISTS (SELECT FROM instances WHERE n = $1::smallint AND run = $4)
ORDER BY id
ON CONFLICT (id, instance) DO UPDATE SET state = sequences.state
RETURNING id, n;

-- name: keep_accounts
-- Names may change: the last one seen is kept, and whoever had another one is returned; once a day at most, because an
-- instance that says both would have all of it read again at every visit. Known ones are not inserted, since every try uses
-- up a number. Nothing when the run $4 was replaced.
WITH seen AS (
    SELECT id, name FROM unnest($2::uuid[], $3::text[]) AS listed (id, name)
    WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.id = listed.id AND a.instance = $1::smallint AND a.name = listed.name)
      AND EXISTS (SELECT FROM instances WHERE n = $1::smallint AND run = $4)
), renamed AS (
    UPDATE accounts a
    SET name = s.name, renamed_at = CASE WHEN old.lately THEN a.renamed_at ELSE now() END
    FROM seen s
    JOIN (SELECT n, id, coalesce(renamed_at > now() - interval '1 day', false) AS lately
          FROM accounts WHERE instance = $1::smallint) old USING (id)
    WHERE a.n = old.n
    RETURNING a.id, a.n, old.lately
), added AS (
    INSERT INTO accounts (id, instance, name)
    SELECT id, $1::smallint, name FROM seen WHERE id NOT IN (SELECT id FROM renamed) ORDER BY id
    ON CONFLICT (id, instance) DO UPDATE SET name = excluded.name
)
SELECT n FROM renamed WHERE NOT lately;

-- name: has_retries
SELECT EXISTS (SELECT FROM retries WHERE instance = $1);

-- name: read_accounts
SELECT id, n, name FROM accounts WHERE instance = $1 AND id = ANY($2::uuid[]);

-- name: keep_cameras
INSERT INTO cameras (manufacturer, model)
SELECT manufacturer, model FROM unnest($1::text[], $2::text[]) AS seen (manufacturer, model)
WHERE NOT EXISTS (SELECT FROM cameras c WHERE c.manufacturer = seen.manufacturer AND c.model = seen.model)
ORDER BY 1, 2
ON CONFLICT (manufacturer, model) DO NOTHING;

-- name: read_cameras
SELECT c.n, c.manufacturer, c.model
FROM cameras c JOIN unnest($1::text[], $2::text[]) AS seen (manufacturer, model) USING (manufacturer, model);

-- name: keep_license
-- At most 10,000, so that no instance can use the numbers up; a licence beyond that is in the payload only. A known
-- one is not inserted, since every try uses up a number.
INSERT INTO licenses (id)
SELECT $1::text WHERE NOT EXISTS (SELECT FROM licenses WHERE id = $1::text) AND (SELECT count(*) FROM licenses) < 10000
ON CONFLICT (id) DO NOTHING;

-- name: read_license
SELECT n FROM licenses WHERE id = $1;

-- name: keep_retry
-- One more failure of a sequence; the delay doubles up to $6.
INSERT INTO retries (instance, sequence, next_at, error, url, updated)
SELECT n, $2, now() + $5::interval, $3, $4, $7 FROM instances WHERE n = $1 AND run = $8
ON CONFLICT (instance, sequence) DO UPDATE
SET attempts = retries.attempts + 1, error = excluded.error, url = excluded.url,
    updated = coalesce(excluded.updated, retries.updated),
    next_at = now() + least($6::interval, $5::interval * 2 ^ least(retries.attempts, 20));

-- name: keep_quarantine
INSERT INTO quarantine (instance, sequence, id, field, problem, body)
SELECT $1::smallint, $2::uuid, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
ON CONFLICT (instance, sequence, id) DO UPDATE
SET field = excluded.field, problem = excluded.problem, body = excluded.body, at = now();

-- name: clear_quarantine
DELETE FROM quarantine WHERE instance = $1 AND sequence = ANY($2::uuid[]);

-- name: read_dictionary
-- The newest dictionary of an instance.
SELECT n, content, trained_on FROM dictionaries WHERE instance = $1 ORDER BY n DESC LIMIT 1;

-- name: read_dictionaries
SELECT n, content FROM dictionaries WHERE n = ANY($1::smallint[]);

-- name: keep_dictionary
INSERT INTO dictionaries (instance, content, trained_on) VALUES ($1, $2, $3) RETURNING n;

-- name: plain_payloads
-- Pictures of a few sequences that were packed before their instance had a dictionary.
SELECT cell, sequence, rank, id, payload FROM pictures
WHERE cell = ANY($1::bigint[]) AND sequence = ANY($2::integer[]) AND dictionary = 0;

-- name: repack_payloads
UPDATE pictures p SET dictionary = $2, payload = r.payload
FROM unnest($3::bigint[], $4::integer[], $5::integer[], $6::uuid[], $7::bytea[]) AS r (cell, sequence, rank, id, payload)
WHERE p.cell = ANY($1::bigint[])
  AND p.cell = r.cell AND p.sequence = r.sequence AND p.rank = r.rank AND p.id = r.id AND p.dictionary = 0;

-- name: current_run
SELECT run FROM instances WHERE n = $1;

-- name: sequences_to_withdraw
-- The next sequences of an instance after $3 that hold about $2 pictures together, one at least.
SELECT n FROM (
    SELECT n, sum(pictures) OVER (ORDER BY n) - pictures AS before
    FROM (SELECT n, pictures FROM sequences WHERE instance = $1 AND n > $3 AND state <> 'removed'
          ORDER BY n LIMIT 1000) some_of_it
) running
WHERE before < $2 ORDER BY n;

-- name: census
-- For the check-up: what there is and what waits.
SELECT (SELECT coalesce(sum(pictures), 0)::bigint FROM sequences WHERE served) AS pictures,
       (SELECT count(*) FROM leaves WHERE state <> 'retired') AS leaves,
       (SELECT count(*) FROM count_deltas) AS unfolded,
       (SELECT count(*) FROM retries) AS retries;

-- name: instances_not_visited
SELECT count(*) FROM instances WHERE state = 'enabled' AND last_success_at IS NULL;
