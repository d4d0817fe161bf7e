"""The queue: its tables are those its library wants, one job for an instance, a log with an end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from federation.database import Role, open_pool
from harvester.queue import POOL_SIZE, Handler, Kind, Queue, TakeAgain, work
from tests.harvest_world import harvest_settings
from tests.origin import eventually


@pytest.fixture
async def queue(database: str) -> AsyncIterator[Queue]:
    async with open_pool(database, Role.WRITER, harvest_settings(), size=POOL_SIZE) as pool:
        yield Queue(pool)


async def working(queue: Queue, visit: Handler, stop: asyncio.Event) -> None:
    await work(queue.pool, {Kind.VISIT: visit}, stop, jobs=4, lease_s=2)


async def test_our_migrations_make_what_the_installed_library_wants(queue: Queue) -> None:
    assert await queue.drift() == []


async def test_the_library_would_notice_a_table_that_lacks_something(queue: Queue, database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("ALTER TABLE queue.pgqueuer DROP COLUMN slot")
    await connection.close()
    assert await queue.drift() != []


async def test_an_instance_has_one_job_also_while_it_is_worked_on(queue: Queue) -> None:
    begun, go_on, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        begun.set()
        await go_on.wait()

    assert await queue.put_visits([1, 2]) == 2
    assert await queue.put_visits([1, 2]) == 0
    task = asyncio.create_task(working(queue, visit, stop))
    await begun.wait()
    assert await queue.put_visits([1, 2, 3]) == 1
    go_on.set()

    async def none_left() -> bool:
        return await queue.jobs() == []

    await eventually(none_left)
    assert await queue.put_visits([1]) == 1
    stop.set()
    await task


async def test_a_job_wakes_a_worker_that_waits(queue: Queue) -> None:
    done, stop = asyncio.Event(), asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        done.set()

    task = asyncio.create_task(working(queue, visit, stop))
    # until it listens
    await asyncio.sleep(0.5)
    began = asyncio.get_running_loop().time()
    await queue.put_visits([7])
    await done.wait()
    # it looks every 2 s by itself: a notification is quicker
    assert asyncio.get_running_loop().time() - began < 1.5
    stop.set()
    await task


async def test_a_job_that_is_given_back_is_taken_again(queue: Queue) -> None:
    seen: list[int] = []
    stop = asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        seen.append(attempts)
        if attempts == 0:
            raise TakeAgain(0.1)

    await queue.put_visits([1])
    task = asyncio.create_task(working(queue, visit, stop))

    async def twice() -> bool:
        return seen == [0, 1] and await queue.jobs() == []

    await eventually(twice)
    stop.set()
    await task


async def test_a_job_that_runs_when_its_worker_stops_goes_back(queue: Queue) -> None:
    begun, stop = asyncio.Event(), asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        begun.set()
        await asyncio.sleep(60)

    await queue.put_visits([1])
    task = asyncio.create_task(working(queue, visit, stop))
    await begun.wait()
    stop.set()
    await task
    (job,) = await queue.jobs()
    assert (job["kind"], job["status"], job["attempts"]) == ("visit", "queued", 1)


async def test_a_job_that_breaks_does_not_break_the_worker(queue: Queue) -> None:
    seen: list[int] = []
    stop = asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        seen.append(instance)
        if instance == 1:
            raise ValueError("broken")

    await queue.put_visits([1, 2])
    task = asyncio.create_task(working(queue, visit, stop))

    async def both() -> bool:
        return sorted(seen) == [1, 2] and await queue.jobs() == []

    await eventually(both)
    stop.set()
    await task


async def test_the_log_of_finished_jobs_has_an_end(queue: Queue, database: str) -> None:
    done, stop = asyncio.Event(), asyncio.Event()

    async def visit(instance: int, attempts: int) -> None:
        done.set()

    await queue.put_visits([1])
    task = asyncio.create_task(working(queue, visit, stop))
    await done.wait()
    stop.set()
    await task
    assert await queue.purge(timedelta(days=1)) == 0
    assert await queue.purge(timedelta(0)) > 0
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT count(*) FROM queue.pgqueuer_log") == 0
    await connection.close()
