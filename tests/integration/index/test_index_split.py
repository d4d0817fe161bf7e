"""Leaves are split online: whoever reads or writes meanwhile, frozen or not, meets every picture exactly once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from federation.cells import cell_of, parent
from federation.database import Connection, Role, connect
from federation.errors import DatabaseError
from federation.leaves import load_leaves
from federation.queries import query
from harvester import split
from harvester.fold import fold
from harvester.split import drop_retired, split_leaf, split_leaves
from tests.index_reader import read_once, wrong_with
from tests.index_world import Index, Writer
from tests.invariants import check_invariants
from tests.origin import eventually

ROOT = Path(__file__).parents[3]
LEAF = parent(cell_of(2.35, 48.85), 0)
#: Each step waits for whoever is writing what it moves.
LARGER_STEPS = {"split_batch_pictures": 200}


async def filled(
    index: Index, sequences: int = 8, pictures: int = 300
) -> tuple[Writer, dict[int, tuple[str, list[str]]]]:
    """One city; returns the writer and number -> (id, picture ids)."""
    writer = await index.writer()
    made = {}
    for _ in range(sequences):
        number, id = await writer.new_sequence()
        shots = writer.pictures(pictures)
        await writer.write((number, id, shots))
        made[number] = (id, [shot.id for shot in shots])
    return writer, made


async def check(index: Index) -> int:
    await check_invariants(index.admin)
    await fold(index.pool, index.settings)
    return await check_invariants(index.admin)


async def test_a_split_keeps_every_picture_once_where_the_locator_says(index: Index) -> None:
    await filled(index)
    assert await check(index) == 2_400
    split = await split_leaves(index.pool, index.settings)
    assert LEAF in split
    assert len(split) > 3
    assert await check(index) == 2_400
    sizes = await index.admin.fetch("SELECT cell, count(*) AS n FROM pictures GROUP BY cell")
    assert all(row["n"] <= 1_000 for row in sizes)
    assert await index.admin.fetchval("SELECT count(*) FROM sequences WHERE $1 = ANY(cells)", LEAF) == 0
    assert await split_leaves(index.pool, index.settings) == []


async def test_retired_leaves_are_dropped_when_no_statement_can_name_them(index: Index) -> None:
    await filled(index, sequences=4)
    done = await split_leaves(index.pool, index.settings)
    gone = [f"pictures_{cell:x}" for cell in done]
    exists = "SELECT count(*) FROM pg_class WHERE relname = ANY($1)"
    assert await index.admin.fetchval(exists, gone) == len(done)
    await index.admin.execute("UPDATE leaves SET state_at = now() - interval '1 hour' WHERE state = 'retired'")
    reader = await connect(index.dsn, Role.READER, index.settings)
    async with index.pool.acquire() as connection:
        async with reader.transaction():
            await reader.execute("SELECT count(*) FROM pictures")
            assert await drop_retired(connection, index.settings) == 0
        await reader.close()
        assert await drop_retired(connection, index.settings) == len(done)
    assert await index.admin.fetchval(exists, gone) == 0
    assert await check(index) == 1_200


async def test_a_split_that_is_killed_is_finished_by_the_next_round(index: Index) -> None:
    await filled(index, sequences=4)
    moved = 0
    original = split._move_batch

    async def dies(connection, cell, after, at_once):  # type: ignore[no-untyped-def]
        nonlocal moved
        moved += 1
        if moved == 7:
            await index.admin.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        return await original(connection, cell, after, at_once)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "_move_batch", dies)
        with pytest.raises(DatabaseError):
            await split_leaves(index.pool, index.settings)
    states = {row["state"] for row in await index.admin.fetch("SELECT state FROM leaves")}
    assert "splitting" in states
    assert await check(index) == 1_200
    await split_leaves(index.pool, index.settings)
    assert await check(index) == 1_200
    assert await index.admin.fetchval("SELECT count(*) FROM leaves WHERE state = 'splitting'") == 0


async def test_pictures_at_one_point_stop_at_the_finest_leaf(index: Index) -> None:
    writer = await index.writer()
    number, id = await writer.new_sequence()
    shots = writer.pictures(1_100)
    same = shots[0]
    await writer.write(
        (number, id, [replace(s, longitude=same.longitude, latitude=same.latitude, h3=same.h3) for s in shots])
    )
    assert len(await split_leaves(index.pool, index.settings)) == 11
    assert await check(index) == 1_100


async def keep_reading(index: Index, steady: set[str], stop: asyncio.Event) -> int:
    connection = await connect(index.dsn, Role.READER, index.settings)
    reads = 0
    try:
        leaves = await load_leaves(connection)
        while not stop.is_set():
            found, leaves = await read_once(connection, leaves)
            assert not wrong_with(found, steady), (reads, wrong_with(found, steady))
            reads += 1
    finally:
        await connection.close()
    return reads


async def keep_writing(
    index: Index, writer: Writer, mine: dict[int, tuple[str, list[str]]], stop: asyncio.Event
) -> int:
    """Edit and reorder the sequences it was given; bring new ones and take some of those away again."""
    merges = 0
    extra: list[int] = []
    while not stop.is_set():
        number = writer.chance.choice(list(mine))
        id, ids = mine[number]
        writer.chance.shuffle(ids)
        fresh, fresh_id = await writer.new_sequence()
        await writer.write((number, id, writer.pictures(len(ids), ids)), (fresh, fresh_id, writer.pictures(20)))
        extra.append(fresh)
        if len(extra) > 3:
            await writer.remove(extra.pop(0))
        merges += 1
    return merges


async def test_readers_and_writers_at_work_meet_every_picture_once(index: Index) -> None:
    _, made = await filled(index, pictures=150)
    steady = {id for _, ids in made.values() for id in ids}
    stop = asyncio.Event()
    numbers = list(made)
    writers = [await index.writer(seed=n) for n in (5, 6)]
    tasks = [asyncio.create_task(keep_reading(index, steady, stop)) for _ in range(2)]
    tasks += [
        asyncio.create_task(keep_writing(index, writer, {n: made[n] for n in numbers[k::2]}, stop))
        for k, writer in enumerate(writers)
    ]
    await asyncio.sleep(0.3)
    done = await split_leaves(index.pool, index.settings.model_copy(update=LARGER_STEPS))
    stop.set()
    work = await asyncio.gather(*tasks)
    assert len(done) > 3
    assert min(work) > 3, work
    await check(index)


@asynccontextmanager
async def program(name: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"tests.index_{name}", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.kill()
        await process.communicate()


async def next_line(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None
    return (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()


async def test_processes_frozen_while_the_leaf_splits_meet_every_picture_once(index: Index, tmp_path: Path) -> None:
    _, made = await filled(index, sequences=6, pictures=200)
    steady = tmp_path / "ids"
    steady.write_text("\n".join(id for _, ids in made.values() for id in ids))
    number, (id, ids) = next(iter(made.items()))
    mine = tmp_path / "mine"
    mine.write_text("\n".join(ids))
    async with (
        program("reader", index.dsn, str(steady), "0") as reader,
        program("reader", index.dsn, str(steady), "0.0002") as slow_reader,
        program("writer", index.dsn, str(number), id, str(mine)) as writer,
    ):
        processes = (reader, slow_reader, writer)
        for process in processes:
            assert (await next_line(process)).startswith("ok")
        work = asyncio.create_task(split_leaves(index.pool, index.settings.model_copy(update=LARGER_STEPS)))
        for pause_s in (0.15, 0.4):
            await asyncio.sleep(pause_s)
            for process in processes:
                os.kill(process.pid, signal.SIGSTOP)
            await asyncio.sleep(0.4)
            for process in processes:
                os.kill(process.pid, signal.SIGCONT)
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        done = await asyncio.wait_for(work, 40)
        for process in processes:
            os.kill(process.pid, signal.SIGCONT)
        assert len(done) > 3
        for process in processes:
            lines = [await next_line(process) for _ in range(4)]
            assert all(line.startswith(("ok", "again")) for line in lines), lines
    await check(index)


async def test_a_merge_that_relinks_another_sequence_meets_a_split_of_it(index: Index) -> None:
    """A removal promotes copies into a sequence of another, while its leaf splits: links and cells stay right."""
    for seed in range(3):
        north, south = await index.writer("north", seed=10 + seed), await index.writer("south", seed=20 + seed)
        n_first, first = await north.new_sequence()
        n_second, second = await south.new_sequence()
        shots = north.pictures(600)
        await north.write((n_first, first, shots[::3]))
        await south.write((n_second, second, shots))
        async with index.pool.acquire() as connection:
            cell = await connection.fetchval("SELECT cell FROM pictures GROUP BY cell ORDER BY count(*) DESC LIMIT 1")
            work = asyncio.create_task(split_leaf(connection, cell, index.settings))
            await asyncio.sleep(0.02 * (seed + 1))
            await north.remove(n_first)
            await work
    await check(index)


async def test_two_removals_that_promote_into_one_sequence_come_one_after_the_other(index: Index) -> None:
    """The second must not compute links and sums from what it saw before the first was committed."""
    north, west, south = [await index.writer(name, seed=n) for n, name in enumerate(("north", "west", "south"))]
    shots = south.pictures(30)
    for writer, some in ((north, shots[::2]), (west, shots[1::2])):
        await writer.write((*await writer.new_sequence(), some))
    await south.write((*await south.new_sequence(), shots))
    first, second, _ = [row["n"] for row in await index.admin.fetch("SELECT n FROM sequences ORDER BY n")]
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def pause(_: Connection) -> None:
        reached.set()
        await go_on.wait()

    slow = asyncio.create_task(north.remove(first, before_commit=pause))
    await reached.wait()
    other = asyncio.create_task(west.remove(second))

    async def waits() -> bool:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = $1"
        return bool(await index.admin.fetchval(waiting, west.lane.connection.get_server_pid()))

    await eventually(waits)
    go_on.set()
    await asyncio.gather(slow, other)
    assert await check(index) == 30


def test_the_queries_of_a_split_take_their_locks_in_one_order() -> None:
    for name in ("take_split_batch", "hold_copies"):
        assert "ORDER BY l.id, l.copy" in query(name)
