-- A first crawl in ranges of ids; see harvester/ranges.py. The caller of each statement holds the run.

-- name: count_ranges
-- How many there are, and how many are not done.
SELECT count(*) AS cut, count(*) FILTER (WHERE NOT done) AS open FROM ranges WHERE instance = $1;

-- name: cut_ranges
-- New ranges ($2 low, $3 high) of the run $4, and when the crawl began by the instance's clock ($5): its cursor later on.
WITH mine AS (
    UPDATE instances SET crawl_started = coalesce(crawl_started, $5) WHERE n = $1::smallint AND run = $4 RETURNING n
)
INSERT INTO ranges (instance, low, high)
SELECT mine.n, low, high FROM mine, unnest($2::uuid[], $3::uuid[]) AS cut (low, high)
ON CONFLICT (instance, low) DO NOTHING;

-- name: take_range
-- The next one that nobody reads, or whose reader gave no sign of life for $3; its former reader writes nothing more.
UPDATE ranges SET token = token + 1, worker = $2, alive_at = clock_timestamp()
WHERE instance = $1 AND low = (
    SELECT r.low FROM ranges r
    WHERE r.instance = $1 AND NOT r.done AND r.alive_at < clock_timestamp() - $3::interval
    ORDER BY r.low LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING low, high, after, token;

-- name: advance_range
-- Everything up to $4 is merged or stands in retries. No row: it was taken away.
UPDATE ranges SET after = coalesce($4::uuid, after), done = $5, alive_at = clock_timestamp()
WHERE instance = $1 AND low = $2 AND token = $3
RETURNING low;

-- name: leave_range
-- Its reader stops: others need not wait.
UPDATE ranges SET alive_at = '-infinity' WHERE instance = $1 AND low = $2 AND token = $3;

-- name: renew_range
UPDATE ranges SET alive_at = clock_timestamp() WHERE instance = $1 AND low = $2 AND token = $3 RETURNING low;

-- name: hold_range
-- The reader that may write for this range; the row lock keeps another from taking it in the middle.
SELECT token FROM ranges WHERE instance = $1 AND low = $2 FOR SHARE;
