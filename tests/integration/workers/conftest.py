"""Real `panofed worker` processes on one index, and a slow instance that they harvest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from federation.database import Role, open_pool
from federation.settings import Settings
from panofed.services import settings_environment
from tests.harvest_world import World, harvest_settings
from tests.origin import eventually
from tests.slow_origin import SlowOrigin

#: Against hanging only: a loaded machine may be slow.
HANGS_S = 60.0


@dataclass(frozen=True, slots=True)
class Started:
    """A worker process."""

    pid: int

    def signal(self, number: signal.Signals) -> None:
        """Does nothing when it is gone."""
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def is_gone(self) -> bool:
        return not Path(f"/proc/{self.pid}").exists()

    async def gone(self) -> None:
        async def so() -> bool:
            return self.is_gone()

        await eventually(so, within_s=HANGS_S)


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Workers, the index they share, and the instance."""

    world: World
    origin: SlowOrigin
    logs: Path
    nursery: asyncio.subprocess.Process
    processes: list[Started] = field(default_factory=list)

    @property
    def admin(self) -> asyncpg.Connection:
        return self.world.admin

    def settings(self, **overrides: object) -> Settings:
        """Ranges and leases small enough to see them change hands; one worker takes 2 of 6 connections."""
        values: dict[str, object] = {
            "database_url": self.world.dsn, "page_sequences": 4, "page_pictures": 10, "batch_pictures": 6,
            "crawl_ranges": 8, "visit_lanes": 2, "run_lease_s": 2, "worker_jobs": 4, "instance_slot_lease_s": 2,
            "cadence_s": 600, "instance_concurrency": 6, "log_level": "info",
        }  # fmt: skip
        return harvest_settings(**(values | overrides))

    async def start(self, count: int = 1, **overrides: object) -> list[Started]:
        """So many more workers."""
        assert self.nursery.stdin is not None and self.nursery.stdout is not None
        environment = settings_environment(self.settings(**overrides))
        for _ in range(count):
            log = str(self.logs / f"worker-{len(self.processes)}.log")
            self.nursery.stdin.write(json.dumps({"environment": environment, "log": log}).encode() + b"\n")
            self.processes.append(Started(int(await self.nursery.stdout.readline())))
        return self.processes[-count:]

    async def stop(self) -> None:
        for process in self.processes:
            process.signal(signal.SIGKILL)
        for process in self.processes:
            await process.gone()

    def said(self, worker: int) -> str:
        """What a worker printed and logged."""
        return (self.logs / f"worker-{worker}.log").read_text()

    async def leader(self) -> Started:
        """The worker whose run it is."""
        name = await self.admin.fetchval("SELECT r.worker FROM runs r JOIN instances i ON i.run = r.n")
        return self.process_of(name)

    async def helper(self) -> Started:
        """Another one that reads a range now."""
        leader = await self.admin.fetchval("SELECT r.worker FROM runs r JOIN instances i ON i.run = r.n")
        name = await self.admin.fetchval(
            "SELECT worker FROM ranges WHERE NOT done AND worker NOT IN ('', $1) AND alive_at > now() - interval '1 s'"
            " LIMIT 1", leader,
        )  # fmt: skip
        return self.process_of(name)

    def process_of(self, name: str) -> Started:
        return next(each for each in self.processes if name.endswith(f":{each.pid}"))

    async def until(self, statement: str, *values: object) -> None:
        """Wait until a statement says true."""

        async def so() -> bool:
            return bool(await self.admin.fetchval(statement, *values))

        await eventually(so, within_s=HANGS_S)

    async def until_shared(self) -> None:
        """Several workers read ranges, and something is done already."""
        await self.until(
            "SELECT count(DISTINCT worker) FILTER (WHERE NOT done AND worker <> '') > 1 AND bool_or(done) FROM ranges"
        )

    async def go_on(self, requests: int) -> None:
        """Let so many more requests come."""
        wanted = len(self.origin.log.came) + requests

        async def so() -> bool:
            return len(self.origin.log.came) >= wanted

        await eventually(so, within_s=HANGS_S)

    async def until_crawled(self) -> None:
        await self.until("SELECT cursor IS NOT NULL FROM instances")
        await self.until("SELECT count(*) = 0 FROM runs WHERE outcome = 'running'")

    async def check(self) -> None:
        """The index is right and serves what the instance shows; nothing is left of ranges and open runs."""
        await self.world.check()
        await self.world.check_same("north")
        assert await self.admin.fetchval("SELECT count(*) FROM ranges") == 0
        assert await self.admin.fetchval("SELECT count(*) FROM runs WHERE outcome = 'running'") == 0
        assert await self.admin.fetchval("SELECT count(*) FROM retries") == 0

    async def contents(self) -> list[Any]:
        """Everything a visit may write, with the times at which it was written."""
        statements = (
            "SELECT p.id, p.sequence, p.indexed, p.xmin::text FROM pictures p ORDER BY 1, 2",
            "SELECT s.*, s.xmin::text FROM sequences s ORDER BY n",
            "SELECT r.*, r.xmin::text FROM runs r ORDER BY n",
            "SELECT i.*, i.xmin::text FROM instances i ORDER BY n",
            "SELECT count(*), max(n) FROM changes",
            "SELECT * FROM retries",
            "SELECT * FROM quarantine",
        )
        return [[tuple(row) for row in await self.admin.fetch(each)] for each in statements]


@pytest.fixture(scope="session")
async def nursery() -> AsyncIterator[asyncio.subprocess.Process]:
    """The process that forks workers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.workers.nursery", cwd=Path(__file__).parents[3],
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield process
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


@pytest.fixture
async def fleet(database: str, tmp_path: Path, nursery: asyncio.subprocess.Process) -> AsyncIterator[Fleet]:
    settings = harvest_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        world = World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)
        origin = await stack.enter_async_context(SlowOrigin(delay_s=0.2))
        world.origins["north"] = origin
        await world.register("north", origin.url)
        fleet = Fleet(world=world, origin=origin, logs=tmp_path, nursery=nursery)
        try:
            yield fleet
        finally:
            await fleet.stop()
