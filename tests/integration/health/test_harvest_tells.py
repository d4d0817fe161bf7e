"""The harvester tells what it found: once after a single harvest, and all the time while it follows."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from federation.database import Role, open_pool
from harvester.queue import POOL_SIZE, Queue
from harvester.schedule import Service
from harvester.visit import Harvester
from panofed.harvesting import harvest_once
from tests.harvest_world import harvest_settings
from tests.origin import Origin
from tests.receiver import SECRET, receiving


def entry(folder: Path, url: str) -> Path:
    path = folder / "instances.yaml"
    path.write_text(
        f"instances:\n  - id: north\n    name: north\n    url: {url}\n    enabled: true\n", encoding="utf-8"
    )
    return path


async def test_a_single_harvest_counts_and_tells(database: str, tmp_path: Path) -> None:
    async with Origin() as origin, receiving() as receiver:
        origin.add_sequence(3)
        settings = harvest_settings(
            instances_file=entry(tmp_path, origin.url), webhook_url=receiver.url, webhook_secret=SECRET,
            # elsewhere: its disk is not looked at
            database_url=database,
        )  # fmt: skip
        assert not await harvest_once(database, settings, "")
        assert receiver.kinds("north") == ["joined"]
    connection = await asyncpg.connect(database)
    assert await connection.fetchval("SELECT pictures FROM days") == 3
    await connection.close()


async def test_a_service_counts_and_tells_while_it_works(database: str, tmp_path: Path) -> None:
    async with Origin() as origin, receiving() as receiver:
        origin.add_sequence(3)
        settings = harvest_settings(
            instances_file=entry(tmp_path, origin.url), webhook_url=receiver.url, webhook_secret=SECRET, cadence_s=0.5
        )
        async with (
            open_pool(database, Role.WRITER, settings) as pool,
            open_pool(database, Role.WRITER, settings, size=POOL_SIZE) as jobs,
        ):
            harvester, stop = Harvester(dsn=database, pool=pool, settings=settings), asyncio.Event()
            task = asyncio.create_task(
                Service(harvester=harvester, queue=Queue(jobs), on_end=lambda *_: None).run(stop)
            )
            async with asyncio.timeout(30):
                while not receiver.taken or not await pool.fetchval("SELECT max(pictures) FROM days"):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            stop.set()
            await task
            assert receiver.kinds("north") == ["joined"]
            assert await pool.fetchval("SELECT max(pictures) FROM days") == 3
