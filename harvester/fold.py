"""Folds the deltas that merges insert into the counts; every commit is exact before, during and after."""

from __future__ import annotations

from datetime import timedelta

from federation.cells import WORLD, Box, cell_box, lattice_box
from federation.database import Connection, Pool, explained
from federation.leaves import LeafSet, load_leaves
from federation.queries import query
from federation.settings import Settings

#: Cells whose latest day is read again in one transaction.
_STALE_AT_ONCE = 200
#: Numbers below are squares of the 0.1 degree lattice, above are H3 indexes.
LATTICE_END = 7_000_000


async def fold(pool: Pool, settings: Settings) -> int:
    """Fold all there is, in transactions of `fold_batch_rows`; returns how many deltas. Another process folding: 0."""
    total: int = 0
    async with explained("folding counts"), pool.acquire() as connection:
        while True:
            async with connection.transaction():
                if not await connection.fetchval(query("lock_folding")):
                    return total
                done: list[int] = [
                    await connection.fetchval(query(name), settings.fold_batch_rows)
                    for name in ("fold_counts", "fold_months", "fold_leaves", "fold_tiles")
                ]
            total += sum(done)
            if max(done) < settings.fold_batch_rows:
                break
        await _refresh_stale(connection)
        await connection.execute(query("move_grid_scale"), timedelta(days=1))
    return total


async def _refresh_stale(connection: Connection) -> None:
    """Read again the latest day of cells whose newest pictures may have gone, and drop cells that are empty now."""
    while True:
        async with connection.transaction():
            await connection.execute(query("drop_empty_counts"))
            stale = await connection.fetch(query("take_stale_counts"), _STALE_AT_ONCE)
            if not stale:
                return
            await connection.execute(query("lock_leaves_shared"))
            leaves = await load_leaves(connection)
            for row in stale:
                await _refresh_one(connection, leaves, row["cell"], row["instance"])


async def _refresh_one(connection: Connection, leaves: LeafSet, cell: int, instance: int) -> None:
    box: Box = lattice_box(cell) if cell < LATTICE_END else cell_box(cell)
    around = box if not box.crosses else Box(WORLD.west, box.south, WORLD.east, box.north)
    await connection.execute(
        query("refresh_latest"),
        cell,
        instance,
        leaves.covering(box),
        around.west,
        around.south,
        around.east,
        around.north,
    )
    # the day is shown on maps
    await connection.execute(query("touch_tiles"), [box.west, box.south, box.east, box.north])
