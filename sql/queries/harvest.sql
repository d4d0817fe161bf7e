-- What the harvester reads and writes besides the merge of a batch.

-- name: read_due_instances
-- Instances to visit now; with $1, all that are enabled.
SELECT n, id, name, url, capabilities, cursor, crawl_after, crawl_started, failures, configuration_at, concurrency,
       requests_per_s
FROM instances
WHERE state = 'enabled' AND ($1::boolean OR next_visit_at <= now())
ORDER BY next_visit_at, n;

-- name: lock_instance
-- Held by the connection as long as the visit lasts: two visits of one instance never overlap.
SELECT pg_try_advisory_lock(lock_key('instance ' || $1::text));

-- name: unlock_instance
SELECT pg_advisory_unlock(lock_key('instance ' || $1::text));

-- name: start_run
WITH started AS (INSERT INTO runs (instance) VALUES ($1) RETURNING n)
UPDATE instances SET run = started.n, last_attempt_at = now() FROM started WHERE instances.n = $1
RETURNING started.n;

-- name: close_interrupted_runs
-- Runs of this instance whose process is gone.
UPDATE runs SET outcome = 'interrupted', ended_at = alive_at WHERE instance = $1 AND outcome = 'running';

-- name: report_run
UPDATE runs SET alive_at = now(), phase = $2, sequences_seen = $3, sequences_changed = $4, sequences_removed = $5,
       sequences_failed = $6, sequences_expected = $7, pictures_seen = $8, pictures_changed = $9, pictures_removed = $10,
       pictures_quarantined = $11, pictures_not_public = $12, requests = $13, received_bytes = $14, last_error = $15,
       last_error_url = $16
WHERE n = $1;

-- name: end_run
UPDATE runs SET ended_at = now(), alive_at = now(), outcome = $2, phase = 'ended' WHERE n = $1;

-- name: visit_succeeded
UPDATE instances
SET last_success_at = now(), failures = 0, last_error = '', next_visit_at = now() + $2::interval,
    last_change_at = CASE WHEN $3 THEN now() ELSE last_change_at END
WHERE n = $1;

-- name: visit_failed
UPDATE instances SET failures = failures + 1, last_error = $2, next_visit_at = now() + $3::interval WHERE n = $1;

-- name: advance_cursor
-- Everything the instance changed up to here is merged or stands in retries.
UPDATE instances SET cursor = greatest(cursor, $2), crawl_after = NULL, crawl_started = NULL WHERE n = $1 AND run = $3;

-- name: advance_first_crawl
UPDATE instances SET crawl_after = $2, crawl_started = coalesce(crawl_started, $3) WHERE n = $1 AND run = $4;

-- name: keep_capabilities
UPDATE instances SET capabilities = $2::jsonb WHERE n = $1;

-- name: keep_configuration
UPDATE instances SET configuration = $2::jsonb, configuration_at = now(), version = $3 WHERE n = $1;

-- name: known_sequences
-- What is known of sequences just listed; `waiting`: it stands in retries, its time has not come, and it had failed as
-- `failed_as`.
SELECT s.id, s.n, s.state, s.updated, r.next_at > now() AS waiting, r.updated AS failed_as
FROM sequences s LEFT JOIN retries r ON r.instance = s.instance AND r.sequence = s.id
WHERE s.instance = $1 AND s.id = ANY($2::uuid[]);

-- name: add_sequences
INSERT INTO sequences (id, instance, origin_id)
SELECT id, $1::smallint, origin_id FROM unnest($2::uuid[], $3::text[]) AS listed (id, origin_id) ORDER BY id
ON CONFLICT (id, instance) DO UPDATE SET state = sequences.state
RETURNING id, n;

-- name: touch_sequences
-- Seen, and as it was.
UPDATE sequences SET checked_at = now() WHERE n = ANY($1::integer[]);

-- name: keep_accounts
-- Names may change: the last one seen is kept. Known ones are not inserted, since every try uses up a number.
WITH seen AS (
    SELECT id, name FROM unnest($2::uuid[], $3::text[]) AS listed (id, name)
    WHERE NOT EXISTS (SELECT FROM accounts a WHERE a.id = listed.id AND a.instance = $1::smallint AND a.name = listed.name)
), renamed AS (
    UPDATE accounts a SET name = s.name FROM seen s WHERE a.id = s.id AND a.instance = $1::smallint RETURNING a.id
)
INSERT INTO accounts (id, instance, name)
SELECT id, $1::smallint, name FROM seen WHERE id NOT IN (SELECT id FROM renamed) ORDER BY id
ON CONFLICT (id, instance) DO UPDATE SET name = excluded.name;

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
VALUES ($1, $2, now() + $5::interval, $3, $4, $7)
ON CONFLICT (instance, sequence) DO UPDATE
SET attempts = retries.attempts + 1, error = excluded.error, url = excluded.url,
    updated = coalesce(excluded.updated, retries.updated),
    next_at = now() + least($6::interval, $5::interval * 2 ^ least(retries.attempts, 20));

-- name: due_retries
SELECT coalesce(s.origin_id, r.sequence::text) AS id
FROM retries r LEFT JOIN sequences s ON s.id = r.sequence AND s.instance = r.instance
WHERE r.instance = $1 AND r.next_at <= now() ORDER BY r.next_at LIMIT $2;

-- name: drop_retry
DELETE FROM retries WHERE instance = $1 AND sequence = $2;

-- name: keep_quarantine
INSERT INTO quarantine (instance, sequence, id, field, problem, body)
SELECT $1::smallint, $2::uuid, * FROM unnest($3::text[], $4::text[], $5::text[], $6::bytea[])
ON CONFLICT (instance, sequence, id) DO UPDATE
SET field = excluded.field, problem = excluded.problem, body = excluded.body, at = now();

-- name: clear_quarantine
DELETE FROM quarantine WHERE instance = $1 AND sequence = $2;

-- name: merged_sequences
-- All the index has of this instance, to compare with a full listing.
SELECT n, id, pictures FROM sequences WHERE instance = $1 AND state = 'merged';

-- name: brake_instance
UPDATE instances SET state = 'braked', state_reason = $2 WHERE n = $1;

-- name: purge_expired
-- Rows that are only kept for a while.
WITH old_changes AS (DELETE FROM changes WHERE at < now() - $1::interval RETURNING 1),
     old_quarantine AS (DELETE FROM quarantine WHERE at < now() - $2::interval RETURNING 1)
SELECT (SELECT count(*) FROM old_changes) + (SELECT count(*) FROM old_quarantine);

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
-- The next sequences of an instance that hold about $2 pictures together, one at least.
SELECT n FROM (
    SELECT n, sum(pictures) OVER (ORDER BY n) - pictures AS before
    FROM (SELECT n, pictures FROM sequences WHERE instance = $1 AND state <> 'removed' ORDER BY n LIMIT 1000) some_of_it
) running
WHERE before < $2 ORDER BY n;

-- name: latest_runs
SELECT r.n, i.name, r.started_at, extract(epoch FROM coalesce(r.ended_at, now()) - r.started_at)::float8 AS seconds,
       r.outcome, r.phase, r.sequences_seen, r.sequences_changed, r.sequences_failed, r.pictures_seen,
       r.pictures_quarantined, r.last_error
FROM runs r JOIN instances i ON i.n = r.instance
WHERE $1 = '' OR i.name = $1
ORDER BY r.n DESC LIMIT $2;

-- name: census
-- For the check-up: what there is and what waits.
SELECT (SELECT coalesce(sum(pictures), 0)::bigint FROM sequences WHERE served) AS pictures,
       (SELECT count(*) FROM leaves WHERE state <> 'retired') AS leaves,
       (SELECT count(*) FROM count_deltas) AS unfolded,
       (SELECT count(*) FROM retries) AS retries;

-- name: instances_not_visited
SELECT count(*) FROM instances WHERE state = 'enabled' AND last_success_at IS NULL;
