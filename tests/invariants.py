"""What must be true of the index after every commit: one checker, used at the end of each test."""

from __future__ import annotations

import itertools
from datetime import date
from typing import Any

import asyncpg

from federation.cells import cell_of, lattice_of, parent, resolution_of

#: Each finds rows that must not be; its name says what is wrong with them.
WRONG = {
    "picture and locator disagree": """
        SELECT coalesce(p.id, l.id) AS id, p.cell, l.cell AS at, p.sequence, l.sequence AS of, p.rank, l.rank AS as,
               p.served, l.copy
        FROM pictures p FULL JOIN locator l ON l.id = p.id AND l.instance = p.instance
        WHERE (p.cell, p.sequence, p.rank, p.served) IS DISTINCT FROM (l.cell, l.sequence, l.rank, l.copy = 0)""",
    "id without exactly one served copy": """
        SELECT id FROM pictures GROUP BY id HAVING count(*) FILTER (WHERE served) <> 1""",
    "picture twice on one instance": "SELECT id FROM pictures GROUP BY id, instance HAVING count(*) > 1",
    "picture outside of the leaves": """
        SELECT p.id FROM pictures p LEFT JOIN leaves l USING (cell)
        WHERE l.state IS NULL OR l.state = 'retired' OR p.cell <> h3_parent(p.h3, h3_resolution(p.cell))""",
    "picture of no sequence": """
        SELECT p.id FROM pictures p LEFT JOIN sequences s ON s.n = p.sequence AND s.instance = p.instance
        WHERE s.state IS DISTINCT FROM 'merged'""",
    "neighbours": """
        SELECT id FROM (
            SELECT *, lag(id) OVER w AS before, lead(id) OVER w AS after, lag(geom) OVER w AS before_at,
                   lead(geom) OVER w AS after_at
            FROM pictures WHERE served WINDOW w AS (PARTITION BY sequence ORDER BY rank, id)) p
        WHERE (prev_id, next_id) IS DISTINCT FROM (before, after)
           OR prev_at IS NULL <> (before_at IS NULL) OR next_at IS NULL <> (after_at IS NULL)
           OR NOT coalesce(prev_at ~= before_at::point, true) OR NOT coalesce(next_at ~= after_at::point, true)
        UNION ALL
        SELECT id FROM pictures WHERE NOT served AND (prev_id IS NOT NULL OR next_id IS NOT NULL)""",
    "sequence that is not drawn as it should be": """
        SELECT s.n, s.pictures, l.bands
        FROM sequences s FULL JOIN (SELECT n, count(*) AS bands FROM sequence_lines GROUP BY n) l USING (n)
        WHERE coalesce(s.pictures > 0, false) IS DISTINCT FROM (coalesce(l.bands, 0) = 4)""",
    "served sequences of one id": """
        SELECT id FROM sequences WHERE state = 'merged' GROUP BY id HAVING count(*) FILTER (WHERE served) <> 1""",
    "removed sequence that keeps something": """
        SELECT id FROM sequences WHERE state = 'removed'
           AND (served OR payload IS NOT NULL OR pictures > 0 OR title <> '' OR bbox IS NOT NULL OR cells <> '{}')""",
    "taken down and still here": """
        SELECT t.id FROM takedowns t JOIN locator l ON t.kind = 'picture' AND l.id = t.id WHERE t.ended_at IS NULL
        UNION ALL
        SELECT t.id FROM takedowns t JOIN pictures p ON t.kind = 'picture' AND p.id = t.id WHERE t.ended_at IS NULL
        UNION ALL
        SELECT t.id FROM takedowns t JOIN sequences s ON t.kind = 'sequence' AND s.id = t.id
        WHERE t.ended_at IS NULL AND s.state = 'merged'""",
    "hidden are not those that leave": """
        SELECT hidden FROM leaf_set
        WHERE hidden IS DISTINCT FROM ARRAY(SELECT n FROM instances WHERE state = 'leaving' ORDER BY n)""",
    "something of an instance that left": """
        SELECT i.id, here.what FROM instances i
        CROSS JOIN LATERAL (
            SELECT 'picture' AS what FROM pictures p WHERE p.instance = i.n
            UNION ALL SELECT 'location' FROM locator l WHERE l.instance = i.n
            UNION ALL SELECT 'sequence' FROM sequences s
                WHERE s.instance = i.n AND (s.state <> 'removed' OR s.account IS NOT NULL)
            UNION ALL SELECT 'account' FROM accounts a WHERE a.instance = i.n
            UNION ALL SELECT 'dictionary' FROM dictionaries d WHERE d.instance = i.n
            UNION ALL SELECT 'record put aside' FROM quarantine q WHERE q.instance = i.n
            UNION ALL SELECT 'retry' FROM retries r WHERE r.instance = i.n
            UNION ALL SELECT 'line' FROM sequence_lines l JOIN sequences s USING (n) WHERE s.instance = i.n
            UNION ALL SELECT 'count' FROM (
                SELECT cell FROM (SELECT cell, instance, pictures FROM cell_counts
                                  UNION ALL SELECT cell, instance, pictures FROM count_deltas) c
                WHERE c.instance = i.n GROUP BY cell HAVING sum(pictures) <> 0) counted
        ) AS here
        WHERE i.state = 'left'""",
    "leaf statistics": """
        SELECT l.cell, l.pictures, d.pictures AS deltas, p.pictures AS counted
        FROM leaves l
        LEFT JOIN (SELECT cell, sum(pictures) AS pictures FROM leaf_deltas GROUP BY cell) d USING (cell)
        LEFT JOIN (SELECT cell, count(*) AS pictures FROM pictures GROUP BY cell) p USING (cell)
        WHERE l.state = 'live' AND l.pictures + coalesce(d.pictures, 0) <> coalesce(p.pictures, 0)""",
    "statistic narrower than its leaf": """
        SELECT cell FROM (SELECT cell, min(datetime) AS first, max(datetime) AS last, max(indexed) AS newest
                          FROM pictures GROUP BY cell) p
        JOIN leaves l USING (cell)
        LEFT JOIN (SELECT cell, min(datetime_min) AS first, max(datetime_max) AS last, max(indexed_max) AS newest
                   FROM leaf_deltas GROUP BY cell) d USING (cell)
        WHERE l.state = 'live'
          AND (p.first < least(l.datetime_min, d.first) OR p.last > greatest(l.datetime_max, d.last)
               OR p.newest > greatest(l.indexed_max, d.newest))""",
    "months": """
        SELECT instance, month, counted.*, real.* FROM (
            SELECT instance, month, sum(pictures) AS pictures, sum(pictures_360) AS pictures_360,
                   sum(original_bytes) AS bytes
            FROM (SELECT * FROM month_counts UNION ALL SELECT instance, month, pictures, pictures_360, original_bytes
                  FROM month_deltas) m GROUP BY instance, month
            HAVING (sum(pictures), sum(pictures_360), sum(original_bytes)) <> (0, 0, 0)) counted
        FULL JOIN (
            SELECT instance, date_trunc('month', coalesce(created, datetime))::date AS month, count(*) AS pictures,
                   count(*) FILTER (WHERE is_360) AS pictures_360, coalesce(sum(original_bytes), 0) AS bytes
            FROM pictures WHERE served GROUP BY 1, 2) real USING (instance, month)
        WHERE (counted.pictures, counted.pictures_360, counted.bytes)
              IS DISTINCT FROM (real.pictures, real.pictures_360, real.bytes)""",
}

_COUNTED = """
    SELECT cell, instance, sum(pictures)::integer AS pictures, sum(pictures_360)::integer AS of_360
    FROM (SELECT cell, instance, pictures, pictures_360 FROM cell_counts
          UNION ALL SELECT cell, instance, pictures, pictures_360 FROM count_deltas) c
    GROUP BY cell, instance HAVING (sum(pictures), sum(pictures_360)) <> (0, 0)"""

_PICTURES = """
    SELECT id, cell, h3, instance, sequence, rank, served, is_360, datetime, ST_X(geom) AS x, ST_Y(geom) AS y
    FROM pictures ORDER BY sequence, rank, id"""

_SEQUENCES = """
    SELECT n, id, state, pictures, pictures_360, datetime_min, datetime_max, bbox, cells, length_m,
           ST_NPoints(ST_GeomFromTWKB(lines)) AS points, extent
    FROM sequences WHERE state = 'merged'"""


async def check_invariants(connection: asyncpg.Connection) -> int:
    """Fails with everything that is wrong; returns how many pictures are served."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for name, statement in WRONG.items():
            rows = await connection.fetch(statement)
            assert not rows, f"{name}: {[dict(row) for row in rows[:5]]}"
        pictures = await connection.fetch(_PICTURES)
        await _check_cells(connection, pictures)
        await _check_sequences(connection, pictures)
        await _check_latest(connection, pictures)
    return sum(row["served"] for row in pictures)


async def _check_cells(connection: asyncpg.Connection, pictures: list[asyncpg.Record]) -> None:
    wanted: dict[tuple[int, int], list[int]] = {}
    for row in pictures:
        assert row["h3"] == cell_of(row["x"], row["y"]), row
        if row["served"]:
            for cell in _counted_cells(row):
                both = wanted.setdefault((cell, row["instance"]), [0, 0])
                both[0] += 1
                both[1] += row["is_360"]
    counted = {
        (row["cell"], row["instance"]): [row["pictures"], row["of_360"]] for row in await connection.fetch(_COUNTED)
    }
    wrong = {
        key: (counted.get(key), wanted.get(key)) for key in counted | wanted if counted.get(key) != wanted.get(key)
    }
    assert not wrong, f"counts (counted, real): {list(wrong.items())[:5]}"


async def _check_latest(connection: asyncpg.Connection, pictures: list[asyncpg.Record]) -> None:
    """Exact once everything is folded."""
    if await connection.fetchval("SELECT EXISTS (SELECT FROM count_deltas) OR EXISTS (SELECT FROM stale_counts)"):
        return
    latest: dict[tuple[int, int], date] = {}
    for row in pictures:
        if row["served"]:
            for cell in _counted_cells(row):
                key = (cell, row["instance"])
                latest[key] = max(latest.get(key, date.min), row["datetime"].date())
    for row in await connection.fetch("SELECT cell, instance, latest, pictures FROM cell_counts"):
        assert row["pictures"] > 0, f"an empty count is kept: {row}"
        assert row["latest"] == latest[row["cell"], row["instance"]], row


def _counted_cells(picture: asyncpg.Record) -> list[int]:
    """Its hexagons and its lattice square."""
    hexagons = [parent(picture["h3"], resolution) for resolution in range(3, 12)]
    return [*hexagons, lattice_of(picture["x"], picture["y"])]


async def _check_sequences(connection: asyncpg.Connection, pictures: list[asyncpg.Record]) -> None:
    of = {n: list(rows) for n, rows in itertools.groupby(pictures, key=lambda row: row["sequence"])}
    states = {row["cell"] for row in await connection.fetch("SELECT cell FROM leaves WHERE state = 'live'")}
    for row in await connection.fetch(_SEQUENCES):
        every = of.get(row["n"], [])
        shown = [each for each in every if each["served"]]
        real: dict[str, Any] = {
            "pictures": len(shown),
            "pictures_360": sum(each["is_360"] for each in shown),
            "datetime_min": min((each["datetime"] for each in shown), default=None),
            "datetime_max": max((each["datetime"] for each in shown), default=None),
            "bbox": _bbox(shown),
        }
        assert {name: row[name] for name in real} == real, dict(row)
        assert (row["extent"] is None) == (not shown), row
        assert (row["points"] or 0) <= len(shown), row
        # every leaf its pictures are in is named, itself or by what it was split from
        for leaf in {each["cell"] for each in every}:
            named = any(cell == leaf or parent(leaf, resolution_of(cell)) == cell for cell in row["cells"])
            assert named, f"sequence {row['id']} has pictures in {leaf:x}, and names {row['cells']}"
        if not every and states:
            assert row["pictures"] == 0


def _bbox(shown: list[asyncpg.Record]) -> list[float] | None:
    if not shown:
        return None
    x, y = [row["x"] for row in shown], [row["y"] for row in shown]
    west, east = min(x), max(x)
    if east - west > 180:
        west, east = min(each for each in x if each >= 0), max(each for each in x if each < 0)
    return [west, min(y), east, max(y)]
