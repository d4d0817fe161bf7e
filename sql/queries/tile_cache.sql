-- The file that finished tiles are kept in (SQLite).

-- name: tile_cache_create
CREATE TABLE IF NOT EXISTS kept (
    name TEXT PRIMARY KEY, version TEXT NOT NULL, used INTEGER NOT NULL, body BLOB NOT NULL) WITHOUT ROWID;

-- name: tile_cache_index
CREATE INDEX IF NOT EXISTS kept_used ON kept (used);

-- name: tile_cache_get
SELECT version, used, body FROM kept WHERE name = ?;

-- name: tile_cache_touch
UPDATE kept SET used = ? WHERE name = ?;

-- name: tile_cache_put
INSERT INTO kept (name, version, used, body) VALUES (?, ?, ?, ?)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, used = excluded.used, body = excluded.body;

-- name: tile_cache_pages
-- Pages in use, and how long one is.
SELECT c.page_count - f.freelist_count, s.page_size
FROM pragma_page_count AS c, pragma_freelist_count AS f, pragma_page_size AS s;

-- name: tile_cache_drop_oldest
-- A tenth of all, those that were asked for longest ago.
DELETE FROM kept WHERE name IN (
    SELECT name FROM kept ORDER BY used LIMIT (SELECT 1 + count(*) / 10 FROM kept));
