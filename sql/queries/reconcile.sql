-- What no signal told: sequences to read again, sequences that are listed no more, and the brake on inferred absence.

-- name: reconcile_due
-- Sequences whose turn it is, the longest unread first. Urgent ones (an account, licence or name changed, or a person
-- asked for all) as many as a visit may read ($3); else so many that all are read within the time $2, by the time since
-- the last visit.
WITH mine AS (
    SELECT recheck_before, coalesce(last_success_at, now()) AS since FROM instances WHERE n = $1
), urgent AS (
    SELECT s.n, s.id, s.origin_id, s.pictures, s.checked_at FROM sequences s, mine
    WHERE s.instance = $1 AND s.state = 'merged' AND (s.checked_at IS NULL OR s.checked_at < mine.recheck_before)
    ORDER BY s.checked_at NULLS FIRST LIMIT $3
), share AS (
    SELECT CASE
        WHEN EXISTS (SELECT FROM sequences WHERE instance = $1 AND state = 'merged' AND checked_at < now() - $2::interval)
        THEN least($3, ceil((SELECT count(*) FROM sequences WHERE instance = $1 AND state = 'merged')
                            * greatest(extract(epoch FROM now() - since), 1) / extract(epoch FROM $2::interval)))::bigint
        ELSE 0
    END AS sequences
    FROM mine
), rolling AS (
    SELECT n, id, origin_id, pictures, checked_at FROM sequences
    WHERE instance = $1 AND state = 'merged' AND checked_at < now() - $2::interval
    ORDER BY checked_at LIMIT (SELECT sequences FROM share)
)
SELECT n, coalesce(origin_id, id::text) AS id, pictures FROM (
    SELECT * FROM urgent UNION SELECT * FROM rolling
) due ORDER BY checked_at NULLS FIRST, n LIMIT $3;

-- name: touch_sequences
-- Looked at, whatever came of it: the others come first now.
UPDATE sequences SET checked_at = now()
WHERE n = ANY($2::integer[]) AND state = 'merged' AND EXISTS (SELECT FROM instances WHERE n = $1 AND run = $3);

-- name: ask_reconciliation
-- Everything is to be read again, and listed wholly.
UPDATE instances SET recheck_before = now(), listed_at = NULL WHERE n = $1 AND run = $2;

-- name: recheck_accounts
-- Sequences of accounts that have another name now: their items say the old one.
UPDATE sequences SET checked_at = NULL WHERE instance = $1 AND account = ANY($2::integer[]) AND state = 'merged'
    AND checked_at IS NOT NULL;

-- name: unlisted_sequences
-- What the index has between two ids of a complete listing ($2 excluded, $3 included) and the listing ($4) has not.
SELECT n, pictures FROM sequences
WHERE instance = $1 AND state = 'merged' AND ($2::uuid IS NULL OR id > $2::uuid) AND ($3::uuid IS NULL OR id <= $3::uuid)
  AND NOT id = ANY($4::uuid[]);

-- name: keep_listed
-- A complete listing was read to its end: a confirmation has had its effect.
UPDATE instances SET listed_at = now(),
       absence_decided = CASE WHEN absence_decided = 'confirmed' THEN '' ELSE absence_decided END
WHERE n = $1 AND run = $2;

-- name: absence_of
-- What is held of an instance, what was taken out in the last 24 hours because it was missing, what would go now ($2),
-- and what a person decided.
SELECT i.absence_decided,
       (SELECT coalesce(sum(pictures), 0)::bigint FROM sequences WHERE instance = $1 AND state = 'merged') AS held,
       (SELECT coalesce(sum(pictures), 0)::bigint FROM absences WHERE instance = $1 AND at > now() - interval '24 hours')
           AS applied,
       (SELECT coalesce(sum(pictures), 0)::bigint FROM sequences WHERE n = ANY($2::integer[]) AND state = 'merged') AS lost
FROM instances i WHERE i.n = $1;

-- name: keep_absence
-- Written before it is applied: a visit that is killed in between makes the brake stricter, not laxer.
INSERT INTO absences (instance, at, sequences, pictures)
SELECT n, clock_timestamp(), $2, $3 FROM instances WHERE n = $1 AND run = $4;

-- name: forget_old_absences
DELETE FROM absences WHERE instance = $1 AND at < now() - interval '24 hours';

-- name: end_refusal
-- So little is absent again that nobody needs to decide.
UPDATE instances SET absence_decided = '' WHERE n = $1 AND run = $2 AND absence_decided = 'refused';

-- name: brake_instance
UPDATE instances SET state = 'braked', state_reason = $2, absence_decided = '' WHERE n = $1 AND run = $3;

-- name: decide_absence
-- A person's word after the brake: confirmed (the next visit lists everything, and what is missing goes) or refused.
UPDATE instances SET absence_decided = $2, listed_at = NULL WHERE n = $1;

-- name: known_places
-- Addresses of the other instances that are harvested directly, or have left: what those had does not come back with a
-- catalog.
SELECT url FROM instances
WHERE n <> $1 AND url <> (SELECT url FROM instances WHERE n = $1) AND state <> 'disabled'
  AND coalesce(capabilities ->> 'kind', '') <> 'catalog';
