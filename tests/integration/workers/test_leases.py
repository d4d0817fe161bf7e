"""Who may write for an instance: one run at a time, by a lease, and nothing from a run that was replaced."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg
import pytest
from aiohttp import web

from federation.database import Role, open_pool
from federation.errors import RunFenced
from federation.queries import query
from harvester.progress import Progress
from harvester.runs import report_help, report_run, start_run
from harvester.visit import Harvester
from tests.harvest_world import World, harvest_settings


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings(run_lease_s=2)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)


async def elsewhere(world: World, seconds_ago: float = 0.0) -> None:
    """The latest run is that of a worker on another machine, which gave its last sign of life then."""
    await world.admin.execute(
        "UPDATE runs SET worker = 'elsewhere:1', alive_at = now() - $1::interval WHERE outcome = 'running'",
        timedelta(seconds=seconds_ago),
    )


async def test_of_many_that_start_at_once_one_may(world: World) -> None:
    instance = await world.register("north", "http://127.0.0.1:1/api")
    started = await asyncio.gather(*(start_run(world.pool, instance, world.settings) for _ in range(12)))
    assert len([run for run in started if run is not None]) == 1
    assert await world.admin.fetchval("SELECT count(*) FROM runs") == 1


async def test_a_run_is_replaced_when_its_lease_is_over_and_not_before(world: World) -> None:
    instance = await world.register("north", "http://127.0.0.1:1/api")
    first = await start_run(world.pool, instance, world.settings)
    await elsewhere(world, 1.0)
    assert await start_run(world.pool, instance, world.settings) is None
    await elsewhere(world, 2.1)
    second = await start_run(world.pool, instance, world.settings)
    assert first is not None and second is not None and second > first
    assert await world.admin.fetchval("SELECT outcome FROM runs WHERE n = $1", first) == "interrupted"
    assert await world.admin.fetchval("SELECT run FROM instances") == second


async def test_a_killed_process_of_this_machine_is_not_waited_for(world: World) -> None:
    instance = await world.register("north", "http://127.0.0.1:1/api")
    await start_run(world.pool, instance, world.settings)
    await world.admin.execute("UPDATE runs SET worker = regexp_replace(worker, ':\\d+$', ':99999999')")
    assert await start_run(world.pool, instance, world.settings) is not None


async def test_a_stopped_instance_is_not_visited_by_a_job_that_waited(world: World) -> None:
    instance = await world.register("north", "http://127.0.0.1:1/api")
    await world.admin.execute("UPDATE instances SET state = 'paused'")
    assert await start_run(world.pool, instance, world.settings) is None


async def test_a_replaced_run_writes_nothing_more(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(3)
    await world.good_visit()
    instance = await world.admin.fetchval("SELECT n FROM instances")
    old = await start_run(world.pool, instance, world.settings)
    await elsewhere(world, 99)
    new = await start_run(world.pool, instance, world.settings)
    assert old is not None and new is not None
    before = [dict(row) for row in await world.admin.fetch("SELECT *, xmin::text FROM instances")]
    with pytest.raises(RunFenced):
        await report_run(world.pool, old, Progress("north"))
    with pytest.raises(RunFenced):
        await report_help(world.pool, old, Progress("north"))
    cuts = [uuid.UUID(int=0)], [uuid.UUID(int=1)]
    for name, values in {
        "advance_first_crawl": (instance, uuid.uuid4(), None, old),
        "advance_cursor": (instance, None, old),
        "keep_capabilities": (instance, "{}", old),
        "keep_configuration": (instance, '{"changed": 1}', "9", old, ["core"]),
        "visit_succeeded": (instance, old, timedelta(0), True),
        "visit_failed": (instance, old, "late", timedelta(0)),
        "end_run": (old, "done"),
        "cut_ranges": (instance, *cuts, old, None),
    }.items():
        await world.pool.execute(query(name), *values)
        assert [dict(row) for row in await world.admin.fetch("SELECT *, xmin::text FROM instances")] == before, name
    assert await world.admin.fetchval("SELECT count(*) FROM ranges") == 0
    assert await world.admin.fetchval("SELECT outcome FROM runs WHERE n = $1", old) == "interrupted"


async def test_a_visit_that_is_replaced_notices_and_ends(world: World) -> None:
    origin = await world.origin()
    for n in range(6):
        origin.add_sequence(2, at=(2.3 + n / 50, 48.85))
    reached = asyncio.Event()

    async def hang(request: web.Request) -> None:
        if "/items" in request.path and not reached.is_set():
            reached.set()
            await asyncio.sleep(60)

    origin.hook = hang
    visit = asyncio.create_task(world.visit(crawl_ranges=1))
    await reached.wait()
    await elsewhere(world, 99)
    progress = await world.visit(crawl_ranges=1)
    assert progress.outcome == "done"
    old = await asyncio.wait_for(visit, 10)
    assert old.outcome == "failed"
    assert "replaced" in old.last_error
    outcomes = [row["outcome"] for row in await world.admin.fetch("SELECT outcome FROM runs ORDER BY n")]
    assert outcomes == ["interrupted", "done"]
    await world.check_same()
    await world.check()


async def test_in_the_foreground_somebody_elses_visit_is_left_to_them(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(2)
    reached = asyncio.Event()

    async def hang(request: web.Request) -> None:
        if "/items" in request.path and not reached.is_set():
            reached.set()
            await asyncio.sleep(2.5)

    origin.hook = hang
    visit = asyncio.create_task(world.visit())
    await reached.wait()
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
    (progress,) = await harvester.visit_all(lambda _: None)
    assert (progress.outcome, progress.last_error) == ("skipped", "another process is visiting it")
    assert (await visit).outcome == "done"


async def test_in_the_foreground_a_silent_visit_is_taken_over(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(2)
    instance = await world.admin.fetchval("SELECT n FROM instances")
    await start_run(world.pool, instance, world.settings)
    await elsewhere(world)
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
    (progress,) = await harvester.visit_all(lambda _: None)
    assert progress.outcome == "done"
    await world.check_same()


async def test_who_sleeps_is_visited_seldom_and_a_failure_puts_off(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(2)

    async def pause_s() -> float:
        pause: float = await world.admin.fetchval(
            "SELECT extract(epoch FROM next_visit_at - now())::float8 FROM instances"
        )
        return pause

    await world.good_visit(cadence_s=100)
    assert 95 < await pause_s() <= 100
    await world.admin.execute("UPDATE instances SET last_change_at = now() - interval '3 days'")
    await world.good_visit(cadence_s=100)
    assert 295 < await pause_s() <= 301
    await world.admin.execute("UPDATE instances SET cadence_s = 500")
    await world.good_visit(cadence_s=100)
    assert 895 < await pause_s() <= 900
    origin.faults["/collections"] = lambda: web.Response(status=500)
    await world.admin.execute("UPDATE instances SET failures = 3, cadence_s = NULL")
    assert (await world.visit(cadence_s=100)).outcome == "failed"
    assert 600 < await pause_s() <= 970


async def test_a_ping_during_a_visit_brings_another_one_at_once(world: World) -> None:
    origin = await world.origin()
    origin.add_sequence(2)

    async def ping(request: web.Request) -> None:
        if "/items" in request.path:
            await world.admin.execute("UPDATE instances SET pinged_at = now(), next_visit_at = now()")

    origin.hook = ping
    await world.good_visit()
    assert await world.admin.fetchval("SELECT next_visit_at <= now() FROM instances")
    origin.hook = None
    await world.good_visit()
    assert await world.admin.fetchval("SELECT next_visit_at > now() FROM instances")
