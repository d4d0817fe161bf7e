"""Decides when: which instances are due, when counts are folded, leaves split and expired rows purged.

Who is due becomes a job in the queue. APScheduler only says that it is time; the work runs in tasks of our own, because
its executor cancels what runs at shutdown and cannot wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from federation.database import Pool, explained
from federation.errors import PanofedError
from federation.instances import load_instances, sync_instances
from federation.leaving import leaving
from federation.settings import Settings
from harvester.checking import checks_to_do, expire
from harvester.compact import compact
from harvester.days import count_held
from harvester.fold import fold
from harvester.health import watch_health
from harvester.notices import tell_events
from harvester.purge import purge
from harvester.queue import Queue
from harvester.split import split_leaves
from harvester.visit import Harvester
from harvester.worker import OnEnd, Worker

logger = logging.getLogger(__name__)

_DUE_S = 1.0
_PURGE_S = 3_600.0
_COMPACT_S = 900.0
_LEAVING_S = 2.0
_HEALTH_S = 2.0


async def sync_file(pool: Pool, settings: Settings) -> None:
    """Read instances.yaml into the table."""
    entries = await asyncio.to_thread(load_instances, settings.instances_file)
    async with explained("reading instances.yaml into the index"), pool.acquire() as connection:
        await sync_instances(connection, entries, settings.instances_file)


@dataclass(slots=True, kw_only=True)
class Service:
    """Decides when, and works: any number of processes may, each due instance becomes one job all the same.

    `keeps_house`: reads instances.yaml, and does what is about no single instance: folding, splitting, purging.
    """

    harvester: Harvester
    queue: Queue
    on_end: OnEnd
    keeps_house: bool = True
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _file_seen: float = 0.0
    _counted: float = -1e18
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, then end what runs: a visit that is cut short goes on where it stood."""
        scheduler = AsyncIOScheduler(timezone="UTC")
        for name, seconds, work in self._duties():
            scheduler.add_job(self._once(name, work), "interval", seconds=seconds, id=name, max_instances=1)
        scheduler.start()
        try:
            await Worker(harvester=self.harvester, pool=self.queue.pool, on_end=self.on_end).run(stop)
        finally:
            scheduler.shutdown(wait=False)
            await self._drain()

    def _duties(self) -> list[tuple[str, float, Callable[[], Awaitable[None]]]]:
        settings = self.harvester.settings
        visits: tuple[str, float, Callable[[], Awaitable[None]]] = ("visits", _DUE_S, self._put_visits)
        checks: tuple[str, float, Callable[[], Awaitable[None]]] = ("checks", _DUE_S, self._put_checks)
        if not self.keeps_house:
            return [visits, checks]
        return [
            visits,
            checks,
            ("folding", settings.fold_interval_s, self._fold),
            ("splitting", settings.leaf_check_s, self._split),
            ("leaving", _LEAVING_S, self._put_withdrawals),
            ("purging", _PURGE_S, self._purge),
            ("compacting", _COMPACT_S, self._compact),
            ("watching", _HEALTH_S, self._watch),
            ("telling", _HEALTH_S, self._tell),
        ]

    def _once(self, name: str, work: Callable[[], Awaitable[None]]) -> Callable[[], Coroutine[Any, Any, None]]:
        async def start() -> None:
            if name not in self._tasks:
                self._spawn(name, work())

        return start

    def _spawn(self, name: str, work: Awaitable[None]) -> None:
        task = asyncio.create_task(self._guarded(name, work), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda _: self._tasks.pop(name, None))

    async def _guarded(self, name: str, work: Awaitable[None]) -> None:
        """A database that is away, or a file with a mistake, is logged, and tried again at the next turn."""
        try:
            await work
        except (PanofedError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            logger.error("%s failed: %s", name, error)

    async def _put_visits(self) -> None:
        if self.keeps_house:
            await self._sync_when_changed()
        await self.queue.put_visits(row["n"] for row in await self.harvester.due(every=False))

    async def _put_checks(self) -> None:
        await self.queue.put_checks(await checks_to_do(self.harvester.pool, self.harvester.settings))

    async def _put_withdrawals(self) -> None:
        async with self.harvester.pool.acquire() as connection:
            numbers = await leaving(connection)
        await self.queue.put_withdrawals(numbers)

    async def _sync_when_changed(self) -> None:
        changed = self.harvester.settings.instances_file.stat().st_mtime
        if changed != self._file_seen:
            await sync_file(self.harvester.pool, self.harvester.settings)
            self._file_seen = changed

    async def _fold(self) -> None:
        await fold(self.harvester.pool, self.harvester.settings)

    async def _split(self) -> None:
        self.harvester.check_room()
        await split_leaves(self.harvester.pool, self.harvester.settings)

    async def _purge(self) -> None:
        settings = self.harvester.settings
        await expire(self.harvester.pool, settings)
        await purge(self.harvester.pool, settings)
        await self.queue.purge(timedelta(days=settings.jobs_kept_days))

    async def _tell(self) -> None:
        await tell_events(self.harvester.pool, self.harvester.settings)

    async def _watch(self) -> None:
        settings = self.harvester.settings
        await watch_health(self.harvester.pool, settings, self._since)
        if time.monotonic() - self._counted > settings.health_count_s and await count_held(self.harvester.pool):
            self._counted = time.monotonic()

    async def _compact(self) -> None:
        self.harvester.check_room()
        await compact(self.harvester.dsn, self.harvester.settings)

    async def _drain(self) -> None:
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
