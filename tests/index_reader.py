"""Reads an index as the catalog does, over and over: every read must find each picture that stays exactly once.

    python -m tests.index_reader DSN ID_FILE PAUSE_S

prints one line per read, "ok <number>" or what was wrong. It is a program of its own so that it can be frozen.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path

import asyncpg

from federation.cells import Box
from federation.database import Connection, Role, connect
from federation.leaves import LeafSet, load_leaves
from federation.settings import Settings

#: Wide enough for every picture that the tests write.
PLACE = Box(1.0, 47.0, 4.0, 50.0)
READ = """
    SELECT id::text, /* pause */ FROM pictures
    WHERE cell = ANY($1) AND leaf_guard($2) AND served AND geom && ST_MakeEnvelope($3, $4, $5, $6, 4326)"""


#: The server sleeps a millisecond at least: not for each picture.
PAUSE = "CASE WHEN random() < 0.2 THEN pg_sleep($7) END"


async def read_once(connection: Connection, leaves: LeafSet, pause_s: float = 0.0) -> tuple[list[str], LeafSet]:
    """The ids in the place, and the set they were read with; asks again when the set changed."""
    while True:
        try:
            rows = await connection.fetch(
                READ.replace("/* pause */", PAUSE if pause_s else "$7::float8"),
                leaves.covering(PLACE),
                leaves.version,
                PLACE.west,
                PLACE.south,
                PLACE.east,
                PLACE.north,
                pause_s,
            )
            return [row[0] for row in rows], leaves
        except asyncpg.PostgresError as error:
            if error.sqlstate != "PF001":
                raise
            leaves = await load_leaves(connection)


def wrong_with(found: list[str], steady: set[str]) -> str:
    """Empty when each of `steady` is there once and nothing is there twice."""
    twice = [id for id, times in Counter(found).items() if times > 1]
    missing = steady - set(found)
    return f"{len(twice)} twice, {len(missing)} missing" if twice or missing else ""


async def main(dsn: str, steady: set[str], pause_s: float) -> None:
    connection = await connect(dsn, Role.READER, Settings())
    leaves = await load_leaves(connection)
    while True:
        found, leaves = await read_once(connection, leaves, pause_s)
        sys.stdout.write((wrong_with(found, steady) or f"ok {len(found)}") + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], set(Path(sys.argv[2]).read_text().split()), float(sys.argv[3])))
