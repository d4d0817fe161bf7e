"""Takes an instance out: its sequences go as if it had deleted them, so counts, links and copies stay exact."""

from __future__ import annotations

import logging
from collections.abc import Callable

from federation.database import Pool, explained
from federation.events import HARVESTER, Kind, note
from federation.payload import Packer
from federation.queries import query
from federation.settings import Settings
from harvester.lane import Lane
from harvester.merge import Batch, merge_batch

logger = logging.getLogger(__name__)

#: Pictures removed in one transaction, about a second's work.
_BATCH_PICTURES = 10_000


async def withdraw_instance(
    dsn: str, pool: Pool, instance: int, settings: Settings, on_progress: Callable[[int], None]
) -> int:
    """Remove every sequence and picture of the instance, in batches; returns how many pictures.

    `on_progress` gets the number removed so far. Copies of other instances take the places that become free. The
    instance's run number is the caller's to raise first, so that no visit writes meanwhile.
    """
    lane = await Lane.open(dsn, settings)
    packer, done, last = Packer.make(settings.zstd_level), 0, 0
    try:
        async with explained("withdrawing"):
            run: int = await pool.fetchval(query("current_run"), instance)
            while numbers := await _next_sequences(pool, instance, last):
                merged = await merge_batch(lane, Batch(instance=instance, run=run, removed=tuple(numbers)), packer)
                done, last = done + merged.gone, numbers[-1]
                on_progress(done)
    finally:
        await lane.close()
    return done


async def _next_sequences(pool: Pool, instance: int, last: int) -> list[int]:
    rows = await pool.fetch(query("sequences_to_withdraw"), instance, _BATCH_PICTURES, last)
    return [row["n"] for row in rows]


async def finish_leaving(dsn: str, pool: Pool, instance: int, settings: Settings) -> int | None:
    """Delete what is left of an instance that is leaving, and say that it has left; None when it is not leaving.

    Killed, it is begun again, and finds less to do. Two at once do no harm: each merge takes what is still there.
    """
    async with explained("leaving"):
        if instance not in [row["n"] for row in await pool.fetch(query("instances_leaving"))]:
            return None
    done = await withdraw_instance(dsn, pool, instance, settings, lambda _: None)
    async with explained("leaving"), pool.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(query("instance_left"), instance)
        if row is None:
            return None
        await connection.execute(query("hide_leaving"))
        details = {"name": row["name"], "pictures": done}
        await note(connection, Kind.LEFT, actor=HARVESTER, instance=instance, details=details)
    logger.info("an instance has left", extra={"instance": row["name"], "pictures": done})
    return done
