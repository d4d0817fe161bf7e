"""A first crawl in ranges: resumed without reading anything twice, shared, and taken away from who is silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from aiohttp import web

from federation.database import Role, open_pool
from federation.instances import InstanceEntry, sync_instances
from harvester.visit import Harvester
from tests.harvest_world import World, harvest_settings
from tests.origin import Origin, eventually

SETTINGS: dict[str, Any] = {"crawl_ranges": 4, "page_sequences": 4, "batch_pictures": 4, "run_lease_s": 2}


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings(**SETTINGS)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)


async def large(world: World, sequences: int = 30, version: str = "2.15") -> Origin:
    origin = await world.origin(version=version)
    for _ in range(sequences):
        at = (origin.random.uniform(-170, 170), origin.random.uniform(-60, 70))
        origin.add_sequence(2, at=at)
    return origin


def read(origin: Origin) -> list[str]:
    """Sequences whose items were asked for, but for those of samples for a dictionary."""
    return [path.split("/")[2] for path in origin.requests if "/items" in path and "limit=5" in path]


@pytest.mark.parametrize("version", ["2.15", "2.10"])
async def test_a_large_first_crawl_is_cut_and_complete(world: World, version: str) -> None:
    origin = await large(world, version=version)
    progress = await world.good_visit(**SETTINGS)
    assert progress.sequences_changed == 30
    assert any("id%20%3C%3D" in path or "id <= '" in path for path in origin.requests)
    await world.check_same()
    assert await world.admin.fetchval("SELECT count(*) FROM ranges") == 0
    # its cursor is the clock of its start: the next visit asks by it
    await world.good_visit(**SETTINGS)
    assert read(origin) == []


async def test_a_small_first_crawl_is_not_cut(world: World) -> None:
    origin = await large(world, sequences=3)
    await world.good_visit(**SETTINGS)
    assert not any("id <= '" in path or "id%20%3C%3D" in path for path in origin.requests)


async def test_a_crawl_that_is_cut_short_reads_nothing_twice_but_what_was_not_merged(world: World) -> None:
    origin = await large(world)
    reached = asyncio.Event()

    async def hang(request: web.Request) -> None:
        if len(read(origin)) == 17:
            reached.set()
            await asyncio.sleep(60)

    origin.hook = hang
    visit = asyncio.create_task(world.visit(**SETTINGS))
    await reached.wait()
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)
    merged = {str(row["id"]) for row in await world.admin.fetch("SELECT id FROM sequences WHERE state = 'merged'")}
    # a lane holds less than a batch: two sequences of two pictures
    assert len(merged) >= 17 - 2 * 2 - 1
    assert await world.admin.fetchval("SELECT cursor IS NULL FROM instances")
    origin.hook = None
    await world.good_visit(**SETTINGS)
    assert merged.isdisjoint(read(origin))
    await world.check_same()


async def test_a_range_taken_away_is_not_written_by_its_former_reader(world: World) -> None:
    origin = await large(world)
    stolen = asyncio.Event()

    async def steal(request: web.Request) -> None:
        """Another worker takes the range that is being read, and gives no sign of life after that."""
        if len(read(origin)) == 12 and not stolen.is_set():
            stolen.set()
            await world.admin.execute("UPDATE ranges SET token = token + 1, worker = 'x' WHERE NOT done AND token > 0")

    origin.hook = steal
    progress = await world.visit(**SETTINGS)
    assert stolen.is_set()
    assert progress.outcome == "done", progress.last_error
    # what it had read and not merged was dropped, and read again by the range's next reader
    again = [id for id in set(read(origin)) if read(origin).count(id) > 1]
    assert again, "the former reader merged what it had read"
    await world.check()
    await world.check_same()


#: What the run's row had counted whenever a range was done.
COUNTED_WHEN_DONE = """
    CREATE TABLE counted_when_done (sequences_changed integer);
    CREATE FUNCTION note_counted() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        INSERT INTO counted_when_done
        SELECT r.sequences_changed FROM runs r JOIN instances i ON i.run = r.n WHERE i.n = NEW.instance;
        RETURN NEW;
    END $$;
    CREATE TRIGGER note_counted AFTER UPDATE OF done ON ranges FOR EACH ROW WHEN (NEW.done)
    EXECUTE FUNCTION note_counted();
"""


async def test_a_helper_reads_ranges_of_anothers_run_and_counts_into_its_row(world: World) -> None:
    origin = await large(world)
    origin.hook = pause
    settings = harvest_settings(**SETTINGS)
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=settings)
    await world.admin.execute(COUNTED_WHEN_DONE)
    leading = asyncio.create_task(world.visit(**SETTINGS))

    async def cut() -> bool:
        return bool(await world.admin.fetchval("SELECT count(*) FROM ranges"))

    await eventually(cut)
    (row,) = await harvester.due(every=True)
    run = await world.admin.fetchval("SELECT run FROM instances")
    helped = await harvester.help(row, run, lambda _: None)
    led = await leading
    assert (led.outcome, helped.outcome) == ("done", "done")
    assert helped.sequences_changed > 0
    assert led.sequences_changed == 30
    # all of it was told before the last range was done: from then on the run may end, and takes nothing more
    assert await world.admin.fetchval("SELECT max(sequences_changed) FROM counted_when_done") == 30
    assert await world.admin.fetchval("SELECT requests FROM runs") == len(origin.requests)
    await world.check()
    await world.check_same()


async def test_a_helper_of_a_run_that_ended_does_nothing(world: World) -> None:
    origin = await large(world)
    await world.good_visit(**SETTINGS)
    harvester = Harvester(dsn=world.dsn, pool=world.pool, settings=world.settings)
    (row,) = await harvester.due(every=True)
    run = await world.admin.fetchval("SELECT run FROM instances")
    before, asked = await world.admin.fetch("SELECT * FROM runs"), read(origin)
    await harvester.help(row, run, lambda _: None)
    assert read(origin) == asked
    assert await world.admin.fetch("SELECT * FROM runs") == before


async def pause(request: web.Request) -> None:
    await asyncio.sleep(0.03)


async def test_a_new_address_begins_anew_without_the_former_ranges(world: World) -> None:
    origin = await large(world)

    async def refuse(request: web.Request) -> web.Response | None:
        return web.Response(status=500) if len(read(origin)) >= 14 else None

    origin.hook = refuse
    assert (await world.visit(**SETTINGS)).outcome == "failed"
    assert await world.admin.fetchval("SELECT count(*) FROM ranges") > 0
    await world.admin.execute("UPDATE instances SET url = 'http://127.0.0.1:1/api'")
    await sync_instances(world.admin, [InstanceEntry(id="north", name="north", url=origin.url, enabled=True)])
    assert await world.admin.fetchval("SELECT count(*) FROM ranges") == 0
    await world.admin.execute("DELETE FROM retries")
    origin.hook = None
    await world.good_visit(**SETTINGS)
    await world.check_same()
