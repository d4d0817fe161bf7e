"""A worker: takes jobs from the queue and does them, on any machine that reaches the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from federation.database import Pool, explained
from federation.queries import query
from harvester.checking import do_check
from harvester.progress import OnProgress, Progress
from harvester.queue import Kind, TakeAgain, work
from harvester.visit import Harvester
from harvester.withdraw import finish_leaving

#: Called with a visit, or help with one, that ended.
OnEnd = Callable[[Kind, Progress], None]

#: Whoever leads a crawl leaves the offer to help to others; if there are none, it looks again, less and less often.
_LEAVE_FIRST_S = 0.25
_LEAVE_LAST_S = 30.0


@dataclass(slots=True, kw_only=True)
class Worker:
    """Visits what the queue says is due, and helps with large first crawls. `pool` is the queue's own."""

    harvester: Harvester
    pool: Pool
    on_end: OnEnd
    on_progress: OnProgress = lambda _: None
    _busy: set[int] = field(default_factory=set)

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then visits that are nearly done end, and others go back into the queue."""
        settings = self.harvester.settings
        handlers = {
            Kind.VISIT: self._visit,
            Kind.HELP: self._help,
            Kind.CHECK: self._check,
            Kind.WITHDRAW: self._withdraw,
        }
        await work(self.pool, handlers, stop, jobs=settings.worker_jobs, lease_s=settings.run_lease_s)

    async def _visit(self, instance: int, attempts: int) -> None:
        """A job may be older than the visit it asked for: who is not due any more is not visited."""
        rows = await self.harvester.due(every=False, instance=instance)
        if not rows or instance in self._busy:
            return
        self._busy.add(instance)
        try:
            self.on_end(Kind.VISIT, await self.harvester.visit(rows[0], self.on_progress))
        finally:
            self._busy.discard(instance)

    async def _check(self, check: int, attempts: int) -> None:
        """One that ended meanwhile is not done again."""
        await do_check(self.harvester.pool, check, self.harvester.settings)

    async def _help(self, instance: int, attempts: int) -> None:
        """A process that reads this instance already gains nothing by reading it twice."""
        async with explained("reading a run"):
            row = await self.harvester.pool.fetchrow(
                query("run_to_help"), instance, timedelta(seconds=self.harvester.settings.run_lease_s)
            )
        rows = await self.harvester.due(every=True, instance=instance)
        if row is None or not rows:
            return
        if instance in self._busy:
            raise TakeAgain(min(_LEAVE_LAST_S, _LEAVE_FIRST_S * 2 ** min(attempts, 10)))
        self._busy.add(instance)
        try:
            self.on_end(Kind.HELP, await self.harvester.help(rows[0], row["n"], self.on_progress))
        finally:
            self._busy.discard(instance)

    async def _withdraw(self, instance: int, attempts: int) -> None:
        """A job that was taken over is done again: what is gone is gone."""
        harvester = self.harvester
        await finish_leaving(harvester.dsn, harvester.pool, instance, harvester.settings)
