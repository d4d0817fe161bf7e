-- Tokens of operators and administrators, by their hash.

-- name: add_token
INSERT INTO tokens (hash, scope, instance, label, expires_at) VALUES ($1, $2, $3, $4, now() + $5::interval);

-- name: use_token
-- One that was neither taken back nor has run out; noting its use is once a minute, not once a request.
WITH found AS (
    SELECT n FROM tokens
    WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
), noted AS (
    UPDATE tokens t SET used_at = now() FROM found
    WHERE t.n = found.n AND (t.used_at IS NULL OR t.used_at < now() - interval '1 minute')
)
SELECT t.n, t.scope, t.instance, t.label, t.created_at, t.expires_at, t.revoked_at, t.used_at
FROM tokens t JOIN found USING (n);

-- name: list_tokens
SELECT t.n, t.scope, t.instance, t.label, t.created_at, t.expires_at, t.revoked_at, t.used_at
FROM tokens t WHERE $1::smallint IS NULL OR t.instance = $1 OR t.instance IS NULL
ORDER BY t.n;

-- name: revoke_token
UPDATE tokens SET revoked_at = now() WHERE n = $1 AND revoked_at IS NULL RETURNING n;

-- name: ping_instance
-- Somebody says that this instance changed: it is due now. Nothing when it was said less than $2 seconds ago.
UPDATE instances SET next_visit_at = least(next_visit_at, now()), pinged_at = now()
WHERE n = $1 AND state = 'enabled'
  AND (pinged_at IS NULL OR pinged_at <= now() - make_interval(secs => $2::float8))
RETURNING pinged_at, next_visit_at;

-- name: instance_to_ping
SELECT n, name, state, state_reason FROM instances WHERE name = $1 OR id = $1 ORDER BY name = $1 DESC LIMIT 1;
