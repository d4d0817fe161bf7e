-- Who is let in: links that work once, and the sessions they and tokens are exchanged for.

-- name: add_link
INSERT INTO links (hash, scope, instance, made_by, label, expires_at)
VALUES ($1, $2, $3, $4, $5, now() + $6::interval) RETURNING n, expires_at;

-- name: use_link
-- Once: of two requests at the same time the second finds it used.
UPDATE links SET used_at = now()
WHERE hash = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > now()
RETURNING n, scope, instance;

-- name: list_links
SELECT n, scope, instance, made_by, label, created_at, expires_at, used_at, revoked_at FROM links
WHERE $1::smallint IS NULL OR instance = $1
ORDER BY n DESC LIMIT $2;

-- name: revoke_link
UPDATE links SET revoked_at = now() WHERE n = $1 AND revoked_at IS NULL RETURNING instance;

-- name: add_session
INSERT INTO sessions (hash, scope, instance, link, token, expires_at) VALUES ($1, $2, $3, $4, $5, now() + $6::interval);

-- name: use_session
-- One that has not ended, was used lately, and whose link or token still holds; noting its use is once a minute.
WITH found AS (
    SELECT s.n FROM sessions s
    LEFT JOIN links l ON l.n = s.link
    LEFT JOIN tokens t ON t.n = s.token
    WHERE s.hash = $1 AND s.ended_at IS NULL AND s.expires_at > now() AND s.seen_at > now() - $2::interval
      AND (l.n IS NULL OR l.revoked_at IS NULL)
      AND (t.n IS NULL OR (t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())))
), noted AS (
    UPDATE sessions s SET seen_at = now() FROM found WHERE s.n = found.n AND s.seen_at < now() - interval '1 minute'
)
SELECT s.n, s.scope, s.instance, s.link, s.token, s.expires_at FROM sessions s JOIN found USING (n);

-- name: end_session
UPDATE sessions SET ended_at = now() WHERE n = $1 AND ended_at IS NULL;

-- name: end_sessions
-- All that are open, of one instance ($1) or of everybody.
WITH ended AS (
    UPDATE sessions SET ended_at = now()
    WHERE ended_at IS NULL AND expires_at > now() AND ($1::smallint IS NULL OR instance = $1) RETURNING 1
)
SELECT count(*) FROM ended;

-- name: purge_sessions
WITH gone AS (DELETE FROM sessions WHERE expires_at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;

-- name: purge_links
-- Never one with a session that may still be open: a session lasts less long than this is kept.
WITH gone AS (DELETE FROM links WHERE expires_at < now() - $1::interval RETURNING 1) SELECT count(*) FROM gone;
