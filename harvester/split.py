"""Splits leaves that outgrew `leaf_max_pictures`, online: every picture is found exactly once throughout.

From the moment a leaf is `splitting`, readers name it and its children, writers write to the children. Pictures move in
small transactions, each through its locked locator row, so a writer and the split never both hold one. A process that
was frozen meanwhile finds the version of the set changed, in the snapshot of its own query, and asks again.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import asdict, dataclass
from datetime import timedelta

import asyncpg
import orjson

from federation.cells import FINEST, cell_box, cell_name, children, resolution_of
from federation.database import Connection, Pool, explained
from federation.queries import query
from federation.settings import Settings

logger = logging.getLogger(__name__)

_FIRST_ID = uuid.UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Key:
    """Where the walk through a leaf stands."""

    sequence: int = -(2**31)
    rank: int = -(2**31)
    id: uuid.UUID = _FIRST_ID


async def split_leaves(pool: Pool, settings: Settings) -> list[int]:
    """Split every leaf that is too large, and finish splits that were interrupted; returns the cells split.

    A leaf at the finest resolution stays as large as it is. Does nothing while another process splits.
    """
    done: list[int] = []
    async with explained("splitting leaves"), pool.acquire() as connection:
        if not await connection.fetchval(query("lock_splitting")):
            return done
        try:
            while cells := await _too_large(connection, settings):
                for cell in cells:
                    await split_leaf(connection, cell, settings)
                done += cells
        finally:
            await connection.execute(query("unlock_splitting"))
        await drop_retired(connection, settings)
    return done


async def _too_large(connection: Connection, settings: Settings) -> list[int]:
    rows = await connection.fetch(query("read_leaf_sizes"), settings.leaf_max_pictures)
    return [row["cell"] for row in rows if resolution_of(row["cell"]) < FINEST]


async def split_leaf(connection: Connection, cell: int, settings: Settings) -> None:
    """Split one leaf into its children; goes on where an interrupted split stood."""
    boxes = [{"cell": child} | asdict(cell_box(child)) for child in children(cell)]
    await connection.execute(query("begin_split"), cell, orjson.dumps(boxes).decode())
    while True:
        key: _Key | None = _Key()
        while key is not None:
            key = await _move_batch(connection, cell, key, settings.split_batch_pictures)
        if await connection.fetchval(query("finish_split"), cell):
            break
    await connection.execute(query("forget_split_leaf"), cell)
    logger.info("leaf split", extra={"leaf": cell_name(cell)})


async def _move_batch(connection: Connection, cell: int, after: _Key, at_once: int) -> _Key | None:
    """Move the next `at_once` pictures in one transaction; returns where it stopped, None at the end."""
    rows = await connection.fetch(query("next_split_batch"), cell, after.sequence, after.rank, after.id, at_once)
    if not rows:
        return None
    async with connection.transaction():
        taken = await connection.fetch(
            query("take_split_batch"), cell, [row["id"] for row in rows], [row["instance"] for row in rows]
        )
        columns = [[row[name] for row in taken] for name in ("sequence", "rank", "id")]
        await connection.execute(query("hold_sequences"), sorted(set(columns[0])))
        await connection.execute(query("move_split_batch"), cell, resolution_of(cell) + 1, *columns)
    last = rows[-1]
    return _Key(last["sequence"], last["rank"], last["id"])


async def drop_retired(connection: Connection, settings: Settings) -> int:
    """Drop the tables of leaves that no running statement can name any more; a busy one is left to the next round."""
    try:
        dropped: int = await connection.fetchval(
            query("drop_retired_leaves"), timedelta(seconds=max(settings.statement_timeout_s, settings.merge_timeout_s))
        )
        return dropped
    except asyncpg.LockNotAvailableError:
        return 0
