"""Counts are exact at every commit, writers of one city do not wait for each other, and folding changes no sum."""

from __future__ import annotations

import asyncio

from federation.cells import lattice_of, parent
from federation.database import Role, connect
from harvester.fold import fold
from tests.index_world import Index, Writer
from tests.invariants import check_invariants

SUMS = """
    SELECT (SELECT count(*) FROM pictures WHERE served) AS served,
           (SELECT coalesce(sum(pictures), 0) FROM (
                SELECT pictures FROM cell_counts WHERE cell >= 7000000 AND h3_resolution(cell) = 5
                UNION ALL
                SELECT pictures FROM count_deltas WHERE cell >= 7000000 AND h3_resolution(cell) = 5) c) AS hexagons,
           (SELECT coalesce(sum(pictures), 0) FROM (
                SELECT pictures FROM cell_counts WHERE cell < 7000000
                UNION ALL SELECT pictures FROM count_deltas WHERE cell < 7000000) c) AS lattice,
           (SELECT coalesce(sum(pictures), 0) FROM (
                SELECT pictures FROM month_counts UNION ALL SELECT pictures FROM month_deltas) c) AS months,
           (SELECT coalesce(sum(pictures), 0) FROM (
                SELECT pictures FROM leaves WHERE state = 'live'
                UNION ALL SELECT pictures FROM leaf_deltas) c) AS leaves"""


async def write_rounds(writer: Writer, rounds: int) -> None:
    """New sequences, edits that lose and gain pictures, removals: all in one city."""
    kept: list[tuple[int, str]] = []
    for turn in range(rounds):
        number, id = await writer.new_sequence()
        await writer.write((number, id, writer.pictures(30)))
        kept.append((number, id))
        again = kept[turn // 2]
        await writer.write((*again, writer.pictures(10 + turn)))
        if turn % 3 == 2:
            await writer.remove(kept.pop(0)[0])


async def keep_folding(index: Index, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await fold(index.pool, index.settings)


async def keep_summing(index: Index, stop: asyncio.Event) -> int:
    connection = await connect(index.dsn, Role.READER, index.settings)
    reads = 0
    while not stop.is_set():
        row = await connection.fetchrow(SUMS)
        assert row is not None
        assert len(set(row.values())) == 1, dict(row)
        reads += 1
    await connection.close()
    return reads


async def test_four_writers_of_one_city_keep_every_sum_exact_at_every_commit(index: Index) -> None:
    writers = [await index.writer(f"instance {n % 2}", seed=n) for n in range(4)]
    stop = asyncio.Event()
    watching = asyncio.create_task(keep_summing(index, stop))
    folding = asyncio.create_task(keep_folding(index, stop))
    before = await index.admin.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    await asyncio.gather(*(write_rounds(writer, 9) for writer in writers))
    stop.set()
    assert await watching > 20
    await folding
    await index.admin.execute("SELECT pg_stat_clear_snapshot()")
    after = await index.admin.fetchval("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    assert after == before
    await check_invariants(index.admin)
    await fold(index.pool, index.settings)
    await check_invariants(index.admin)


async def test_the_latest_day_goes_back_when_its_pictures_go(index: Index) -> None:
    writer = await index.writer()
    number, id = await writer.new_sequence()
    shots = sorted(writer.pictures(40), key=lambda shot: shot.captured)
    await writer.write((number, id, shots))
    await fold(index.pool, index.settings)
    await writer.write((number, id, shots[:20]))
    await fold(index.pool, index.settings)
    assert await check_invariants(index.admin) == 20
    last = shots[19]
    for cell in (parent(last.h3, 3), lattice_of(last.longitude, last.latitude)):
        latest = await index.admin.fetchval("SELECT latest FROM cell_counts WHERE cell = $1", cell)
        assert latest == last.captured.date()


async def test_folding_in_small_steps_and_by_two_at_once_is_the_same(index: Index) -> None:
    writer = await index.writer()
    for _ in range(3):
        number, id = await writer.new_sequence()
        await writer.write((number, id, writer.pictures(200)))
    small = index.settings.model_copy(update={"fold_batch_rows": 1_000})
    await asyncio.gather(fold(index.pool, small), fold(index.pool, small))
    await fold(index.pool, small)
    assert await index.admin.fetchval("SELECT count(*) FROM count_deltas") == 0
    assert await check_invariants(index.admin) == 600
