"""The durable queue of work in PostgreSQL: who is due becomes a job, any worker on any machine takes it.

A job is nothing but a kind and the number of an instance; what there is to do stands in the instance's own row, so a
job that is done twice, late or not at all does no harm. The library is pgqueuer, imported only here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import asyncpg
from pgqueuer.adapters.drivers.asyncpg import AsyncpgPoolDriver
from pgqueuer.adapters.persistence import qb
from pgqueuer.domain.errors import PgqException, RetryRequested
from pgqueuer.domain.models import Job as QueuedJob
from pgqueuer.domain.settings import DBSettings
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries

from federation.database import Pool, Row, explained
from federation.errors import DatabaseError, DatabaseUnavailable
from federation.queries import query

logger = logging.getLogger(__name__)

#: The library's tables are in a schema of their own; see sql/schema/097_queue.sql.
SCHEMA = "queue"
#: A listening connection, and some for short statements.
POOL_SIZE = 4
#: A notification wakes a worker at once; where none comes (a pooler of transactions), it looks this often.
_LOOK = timedelta(seconds=2)
#: A database that restarts is back in seconds: a worker that holds visits waits for it instead of dropping them.
_AWAY_S = 30.0
_AGAIN_S = 0.5
#: A worker that is stopped lets visits end that are nearly done; others are given to the next one, losing a batch.
_GRACE_S = 2.0


_T = TypeVar("_T")


class Kind(StrEnum):
    """What is to be done: visit an instance, help with a first crawl that another worker leads, do a check, or delete
    what is left of an instance that leaves."""

    VISIT = "visit"
    HELP = "help"
    CHECK = "check"
    WITHDRAW = "withdraw"


class TakeAgain(Exception):
    """Raised by a handler: the job goes back into the queue, to be taken after `delay_s`."""

    def __init__(self, delay_s: float = 0.0) -> None:
        super().__init__(f"to be taken again in {delay_s:.1f} s")
        self.delay_s = delay_s


#: Called with the number of the instance (of the check) and how often the job went back into the queue.
Handler = Callable[[int, int], Awaitable[None]]


class _PatientDriver(AsyncpgPoolDriver):
    """One connection lost, or a database that restarts, is no reason to give up the jobs that are being worked on."""

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        return await _patiently(lambda: super(_PatientDriver, self).fetch(query, *args))

    async def execute(self, query: str, *args: object) -> str:
        return await _patiently(lambda: super(_PatientDriver, self).execute(query, *args))


async def _patiently(ask: Callable[[], Awaitable[_T]]) -> _T:
    until = time.monotonic() + _AWAY_S
    while True:
        try:
            async with explained("asking the queue"):
                return await ask()
        except DatabaseUnavailable:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(_AGAIN_S)


def queue_settings() -> DBSettings:
    """Where the library's tables are, whatever its environment variables say."""
    return DBSettings(db_schema=SCHEMA, prefix="")


def _queries(pool: Pool) -> Queries:
    names = queue_settings()
    return Queries(
        _PatientDriver(pool),
        qbe=qb.QueryBuilderEnvironment(names),
        qbq=qb.QueryQueueBuilder(names),
        qbs=qb.QuerySchedulerBuilder(names),
    )


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue as those see it who put jobs in. `pool` works as the writer and is the queue's own."""

    pool: Pool

    async def put_visits(self, instances: Iterable[int]) -> int:
        """One job for each of these that has none yet, waiting or being worked on; returns how many are new."""
        return await self._put(Kind.VISIT, {f"visit {n}": n for n in instances})

    async def put_help(self, instance: int, workers: int) -> int:
        """Ask for so many workers to help with this instance."""
        return await self._put(Kind.HELP, {f"help {instance} {k}": instance for k in range(workers)})

    async def put_checks(self, checks: Iterable[int]) -> int:
        """One job for each of these checks that has none yet."""
        return await self._put(Kind.CHECK, {f"check {n}": n for n in checks})

    async def put_withdrawals(self, instances: Iterable[int]) -> int:
        """One job for each of these that leaves; returns how many are new."""
        return await self._put(Kind.WITHDRAW, {f"withdraw {n}": n for n in instances})

    async def _put(self, kind: Kind, keyed: Mapping[str, int]) -> int:
        if not keyed:
            return 0
        count = len(keyed)
        async with explained("filling the queue"):
            made = await _queries(self.pool).enqueue(
                [kind.value] * count,
                [str(n).encode() for n in keyed.values()],
                [0] * count,
                dedupe_key=list(keyed),
                on_conflict="skip",
            )
        return sum(each is not None for each in made)

    async def purge(self, kept: timedelta) -> int:
        """Forget finished jobs; returns how many lines of their log went."""
        async with explained("purging the queue"):
            gone: int = await self.pool.fetchval(query("purge_finished_jobs"), kept)
            return gone

    async def jobs(self) -> list[Row]:
        """What waits and what is being worked on."""
        async with explained("reading the queue"):
            rows: list[Row] = await self.pool.fetch(query("read_jobs"))
            return rows

    async def drift(self) -> list[str]:
        """Statements that would bring the tables to what the installed library wants; none when our migrations do."""
        plan = await _queries(self.pool).plan_upgrade()
        return list(plan.statements)


async def work(pool: Pool, handlers: Mapping[Kind, Handler], stop: asyncio.Event, *, jobs: int, lease_s: float) -> None:
    """Take jobs, up to `jobs` at once, until `stop` is set. One whose worker is silent for `lease_s` is taken over."""
    while not stop.is_set():
        try:
            await _work(pool, handlers, stop, jobs=jobs, lease_s=lease_s)
        except (DatabaseError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, PgqException) as error:
            logger.error("the queue does not answer: %s", error)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_S):
                    await stop.wait()


async def _work(
    pool: Pool, handlers: Mapping[Kind, Handler], stop: asyncio.Event, *, jobs: int, lease_s: float
) -> None:
    manager = QueueManager(_queries(pool), channel=queue_settings().channel)
    for kind, handler in handlers.items():
        manager.entrypoint(kind.value, accepts_context=False)(_entrypoint(handler, stop))
    stopping = asyncio.create_task(_stop(manager, stop))
    try:
        await manager.run(
            dequeue_timeout=_LOOK,
            batch_size=1,
            max_concurrent_tasks=jobs,
            heartbeat_timeout=timedelta(seconds=lease_s),
        )
    finally:
        stopping.cancel()


async def _stop(manager: QueueManager, stop: asyncio.Event) -> None:
    await stop.wait()
    manager.shutdown.set()


def _entrypoint(handler: Handler, stop: asyncio.Event) -> Callable[[QueuedJob], Awaitable[None]]:
    async def handle(job: QueuedJob) -> None:
        task = asyncio.ensure_future(handler(int(job.payload or b"0"), job.attempts))
        ending = asyncio.create_task(_end_soon(task, stop))
        try:
            await task
        except TakeAgain as again:
            raise RetryRequested(timedelta(seconds=again.delay_s), str(again)) from again
        except asyncio.CancelledError:
            task.cancel()
            if not stop.is_set():
                raise
            raise RetryRequested(timedelta(), "its worker was stopped") from None
        finally:
            ending.cancel()

    return handle


async def _end_soon(task: asyncio.Future[None], stop: asyncio.Event) -> None:
    await stop.wait()
    await asyncio.sleep(_GRACE_S)
    task.cancel()
