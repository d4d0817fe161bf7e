"""Takes an instance out: its sequences go as if it had deleted them, so counts, links and copies stay exact."""

from __future__ import annotations

from collections.abc import Callable

from federation.database import Pool, explained
from federation.payload import Packer
from federation.queries import query
from federation.settings import Settings
from harvester.lane import Lane
from harvester.merge import Batch, merge_batch

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
    packer, done = Packer.make(settings.zstd_level), 0
    try:
        async with explained("withdrawing"):
            run: int = await pool.fetchval(query("current_run"), instance)
            while numbers := await _next_sequences(pool, instance):
                merged = await merge_batch(lane, Batch(instance=instance, run=run, removed=tuple(numbers)), packer)
                done += merged.gone
                on_progress(done)
    finally:
        await lane.close()
    return done


async def _next_sequences(pool: Pool, instance: int) -> list[int]:
    rows = await pool.fetch(query("sequences_to_withdraw"), instance, _BATCH_PICTURES)
    return [row["n"] for row in rows]
