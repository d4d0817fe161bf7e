-- How fast an instance is asked, for all workers together: a slot for each request that may be open, the time of the next
-- one, and the circuit breaker. All times are the database's. Nobody waits for the disk (synchronous_commit): what a crash
-- of the database takes back are leases of seconds.

-- name: prepare_turnstile
-- Makes the rows of an instance: its pace, and $2 slots. Somebody who says that it changed (a ping within the last minute)
-- knows that it is well: the breaker is closed. Gives the seconds between two requests that its robots.txt asks us for.
WITH pace AS (
    INSERT INTO paces (instance) VALUES ($1::smallint) ON CONFLICT (instance) DO NOTHING
), made AS (
    INSERT INTO slots (instance, slot)
    SELECT $1::smallint, slot FROM generate_series(1, $2::integer) slot
    ON CONFLICT (instance, slot) DO NOTHING
), pinged AS (
    UPDATE paces p SET faults = 0, open_until = '-infinity' FROM instances i
    WHERE p.instance = $1::smallint AND p.faults > 0 AND i.n = p.instance AND i.pinged_at > now() - interval '1 minute'
)
SELECT coalesce((SELECT crawl_delay_s FROM paces WHERE instance = $1::smallint), 0)::float8;

-- name: enter_turnstile
-- Takes a free slot of the first $2 for the holder $3 and moves the time of the next request by the gap $5. Gives nothing
-- but waiting times when there is no slot, when the turn is farther away than $6, or while the breaker is open. After $7
-- faults in a row the breaker lets one request through when its pause is over, and closes behind it for the lease $4.
-- Who finds no slot leaves word of it, so that those who have one step back.
WITH asked AS MATERIALIZED (
    SELECT clock_timestamp() AS at, set_config('synchronous_commit', 'off', true)
), pace AS MATERIALIZED (
    SELECT p.free_at, p.faults, p.open_until, a.at,
           p.open_until > a.at AS open, p.faults >= $7::integer AND $7::integer > 0 AS faulty
    FROM paces p, asked a WHERE p.instance = $1::smallint
    FOR UPDATE OF p
), found AS MATERIALIZED (
    SELECT s.slot FROM slots s, pace p
    WHERE s.instance = $1::smallint AND s.slot <= $2::integer AND s.until <= p.at
      AND NOT p.open AND p.free_at <= p.at + $6::interval
    ORDER BY s.slot LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
), taken AS (
    UPDATE slots s SET holder = $3::uuid, until = p.at + $4::interval FROM found f, pace p
    WHERE s.instance = $1::smallint AND s.slot = f.slot
    RETURNING s.slot
), wished AS (
    UPDATE paces u SET wanted_at = p.at, wanted_by = $3::uuid FROM pace p
    WHERE u.instance = $1::smallint AND NOT p.open AND p.free_at <= p.at + $6::interval AND NOT EXISTS (SELECT FROM found)
), moved AS (
    UPDATE paces u SET
        free_at = CASE WHEN $5::interval > interval '0' THEN greatest(p.free_at, p.at) + $5::interval ELSE u.free_at END,
        open_until = CASE WHEN p.faulty THEN p.at + $4::interval ELSE u.open_until END
    FROM taken, pace p
    WHERE u.instance = $1::smallint AND (p.faulty OR $5::interval > interval '0')
)
SELECT (SELECT slot FROM taken) AS slot,
       extract(epoch FROM greatest(p.free_at, p.at) - p.at)::float8 AS turn_s,
       CASE WHEN p.open THEN extract(epoch FROM p.open_until - p.at) ELSE 0 END::float8 AS open_s,
       p.faults,
       (SELECT extract(epoch FROM greatest(min(s.until), p.at) - p.at) FROM slots s
        WHERE s.instance = $1::smallint AND s.slot <= $2::integer)::float8 AS slot_s
FROM pace p;

-- name: leave_turnstile
-- The slot is free after the rest $4; an answer ends a row of faults. Tells whether somebody else waits for a slot.
WITH quick AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true)
), answered AS (
    UPDATE paces SET faults = 0, open_until = '-infinity' WHERE instance = $1 AND faults > 0
)
UPDATE slots SET holder = NULL, until = clock_timestamp() + $4::interval FROM quick
WHERE instance = $1 AND slot = $2::smallint AND holder = $3::uuid
RETURNING (SELECT p.wanted_at > clock_timestamp() - interval '0.2 s' AND p.wanted_by <> $3::uuid
           FROM paces p WHERE p.instance = $1);

-- name: leave_turnstile_after_fault
-- The same after a request without an answer: from $4 faults in a row on nobody asks for $5, doubling up to $6.
WITH freed AS (
    UPDATE slots SET holder = NULL, until = '-infinity' WHERE instance = $1 AND slot = $2::smallint AND holder = $3::uuid
)
UPDATE paces SET
    faults = faults + 1,
    open_until = CASE
        WHEN $4::integer > 0 AND faults + 1 >= $4::integer
        THEN clock_timestamp() + least($6::interval, $5::interval * 2 ^ least(faults + 1 - $4::integer, 20))
        ELSE open_until
    END
WHERE instance = $1;

-- name: renew_slots
UPDATE slots SET until = clock_timestamp() + $3::interval
WHERE instance = $1 AND holder = $2::uuid AND slot = ANY($4::smallint[]);

-- name: free_slots
-- Of a session that ends.
UPDATE slots SET holder = NULL, until = '-infinity' WHERE instance = $1 AND holder = $2::uuid;

-- name: hold_turnstile
-- Nobody asks for $2.
UPDATE paces SET free_at = greatest(free_at, clock_timestamp() + $2::interval) WHERE instance = $1;

-- name: close_turnstile
-- Nobody asks for $2, and whoever wants to is told so instead of waiting.
UPDATE paces SET open_until = greatest(open_until, clock_timestamp() + $2::interval) WHERE instance = $1;

-- name: rules_are_fresh
-- Whether it is known, for this address and not for longer than $3, that the instance wants to be harvested.
SELECT EXISTS (SELECT FROM paces WHERE instance = $1 AND rules_url = $2 AND rules_at > now() - $3::interval);

-- name: keep_rules
-- As if they had been read $4 ago; a delay that is NULL could not be read.
UPDATE paces SET rules_at = now() - $4::interval, rules_url = $2, crawl_delay_s = coalesce($3, crawl_delay_s)
WHERE instance = $1;

-- name: pause_unwanted
-- The instance does not want to be harvested: a person resumes it.
UPDATE instances SET state = 'paused', state_reason = $2 WHERE n = $1 AND state = 'enabled';
