-- Instances that want to join. Whoever makes or approves one holds the lock of the registry (instances.sql).

-- name: add_registration
INSERT INTO registrations (url, place, name, contact, blurring, cadence_s, note, proof, token_hash, moves)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING n, id;

-- name: open_registrations
-- `here`, `named`: at this place, of this name, by somebody who has proved it.
SELECT count(*) AS open, coalesce(bool_or(place = $1 AND proved_at IS NOT NULL), false) AS here,
       coalesce(bool_or(name = $2 AND proved_at IS NOT NULL), false) AS named
FROM registrations WHERE state IN ('checking', 'awaiting-proof', 'awaiting-approval');

-- name: read_registered
-- An instance that came by registration, with what its operator said last.
SELECT i.n, i.name, i.contact, i.url,
       coalesce((SELECT blurring FROM registrations r WHERE r.instance = i.n ORDER BY r.n DESC LIMIT 1), '') AS blurring
FROM instances i WHERE i.n = $1 AND i.source = 'registered';

-- name: hold_registration
SELECT * FROM registrations WHERE n = $1 FOR UPDATE;

-- name: hold_registration_by_id
SELECT * FROM registrations WHERE id = $1 FOR UPDATE;

-- name: registration_of_instance
-- The one that its address was proved with.
SELECT * FROM registrations WHERE instance = $1 AND state = 'approved' ORDER BY changed_at DESC, n DESC LIMIT 1;

-- name: set_registration_state
UPDATE registrations SET state = $2, state_reason = $3, changed_at = now() WHERE n = $1;

-- name: close_registration
UPDATE registrations SET state = $2, state_reason = $3, instance = coalesce($4, instance), changed_at = now() WHERE n = $1;

-- name: keep_proof
UPDATE registrations SET
    proved_at = CASE WHEN $2 = '' THEN proved_at ELSE now() END,
    proved_by = CASE WHEN $2 = '' THEN proved_by ELSE $2 END,
    proof_lost_at = CASE WHEN $2 = '' THEN coalesce(proof_lost_at, now()) END
WHERE n = $1;

-- name: add_registered
INSERT INTO instances (id, name, url, state, contact, cadence_s, asset_hosts, source)
VALUES ($1, $2, $3, 'enabled', $4, $5, $6, 'registered') RETURNING n;

-- name: findings_of_registration
-- What the steps of its last full check saw.
SELECT findings FROM check_steps
WHERE n = (SELECT max(n) FROM checks WHERE registration = $1 AND kind = 'full') ORDER BY step;

-- name: move_instance
-- As change_instance does it: what was learnt about the API, and what names the address, is read again.
WITH old AS (
    SELECT n, url FROM instances WHERE n = $1::smallint
), moved AS (
    UPDATE sequences SET updated = NULL, hash = 0 WHERE instance = $1::smallint
), uncut AS (
    DELETE FROM ranges WHERE instance = $1::smallint
)
UPDATE instances i SET
    url = $2, capabilities = '{}', failures = 0, cursor = NULL, crawl_after = NULL, crawl_started = NULL,
    configuration_at = NULL, conforms = '{}', next_visit_at = now()
FROM old WHERE i.n = old.n RETURNING old.url;

-- name: read_registration
SELECT r.*, c.id AS check_id, coalesce(c.outcome, '') AS check_outcome
FROM registrations r
LEFT JOIN LATERAL (SELECT id, outcome FROM checks c WHERE c.registration = r.n ORDER BY c.n DESC LIMIT 1) c ON true
WHERE r.id = $1;

-- name: list_registrations
SELECT r.*, c.id AS check_id, coalesce(c.outcome, '') AS check_outcome
FROM registrations r
LEFT JOIN LATERAL (SELECT id, outcome FROM checks c WHERE c.registration = r.n ORDER BY c.n DESC LIMIT 1) c ON true
WHERE NOT $1::boolean OR r.state IN ('checking', 'awaiting-proof', 'awaiting-approval')
ORDER BY r.n DESC LIMIT $2;

-- name: expire_oldest
-- Room for a new one, at the cost of whoever has proved nothing for more than a day.
UPDATE registrations SET state = 'expired', changed_at = now()
WHERE n = (SELECT n FROM registrations
           WHERE state IN ('checking', 'awaiting-proof') AND proved_at IS NULL AND created_at < now() - interval '1 day'
           ORDER BY n LIMIT 1)
RETURNING n;

-- name: expire_registrations
-- Nobody went on with them: as good as withdrawn.
UPDATE registrations SET state = 'expired', changed_at = now()
WHERE state IN ('checking', 'awaiting-proof') AND changed_at < now() - $1::interval;

-- name: purge_registrations
-- Those that came to nothing, or whose instance has left, with the contact they name.
WITH gone AS (
    DELETE FROM registrations r
    WHERE changed_at < now() - $1::interval
      AND (state IN ('refused', 'expired')
           OR (state = 'approved' AND NOT EXISTS (SELECT FROM instances i WHERE i.n = r.instance AND i.state <> 'left')))
    RETURNING 1
)
SELECT count(*) FROM gone;
