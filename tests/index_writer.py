"""Merges updates into one sequence, over and over, as a process of its own that can be frozen.

    python -m tests.index_writer DSN SEQUENCE_NUMBER SEQUENCE_ID ID_FILE

Its pictures are those of the file, moved about in every round. A lost connection is made anew, as a new visit would.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from federation.errors import DatabaseError
from harvester.lane import Lane
from tests.index_world import Writer, index_settings


def tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(dsn: str, number: int, id: str, ids: list[str]) -> None:
    chance = random.Random(7)
    while True:
        try:
            lane = await Lane.open(dsn, index_settings())
            while True:
                writer = Writer(lane, 1, 1, chance)
                await writer.write((number, id, writer.pictures(len(ids), ids)))
                tell("ok")
        except DatabaseError as error:
            tell(f"again: {error}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]).read_text().split()))
