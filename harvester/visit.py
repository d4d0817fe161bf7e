"""A visit from outside: its run and its connections, its outcome; help for another's visit; all visits that are due."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import orjson

from federation.capabilities import Capabilities
from federation.database import Connection, Pool, Row, explained, in_our_words
from federation.errors import DatabaseError, DatabaseFull, OriginError, OriginMalformed, PanofedError, RunFenced
from federation.outbound import OriginSession
from federation.queries import query
from federation.settings import Settings
from harvester.cadence import backoff_s, is_due, pause_s
from harvester.client import InstanceClient
from harvester.consent import Consent
from harvester.crawl import Visit
from harvester.days import answered, expected_at, note_visit
from harvester.dictionaries import PackerOf, repack
from harvester.drift import Spoken, keep_spoken, note_unfit
from harvester.lanes import Lanes
from harvester.names import Names
from harvester.progress import OnProgress, Progress
from harvester.queue import Queue
from harvester.ranges import RangeLost, read_ranges
from harvester.runs import (
    REPORT_S,
    keep_reporting,
    read_visited,
    report_help,
    report_run,
    silent,
    start_run,
    worker_name,
)
from harvester.tasks import Instance
from harvester.turnstile import shared_turnstile

logger = logging.getLogger(__name__)

_CONFIGURATION_AGE = timedelta(days=1)
#: A database that restarts is back in seconds: an ended visit is written down then.
_CLOSE_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvester:
    """What every visit needs: where the database is, a pool for short statements, the settings.

    `disk` is a folder on the database's disk, when that is a disk of this machine: visits leave some of it free.
    `queue` is where a visit asks other workers for help; without one it does all by itself.
    """

    dsn: str
    pool: Pool
    settings: Settings
    disk: Path | None = None
    queue: Queue | None = None
    #: its visits read every sequence again, changed or not
    thorough: bool = False

    async def due(self, *, every: bool, instance: int | None = None) -> list[Row]:
        """Instances to visit now; with `every`, all that are enabled. `instance`: only this one."""
        lease = timedelta(seconds=self.settings.run_lease_s)
        async with explained("reading instances"):
            rows: list[Row] = await self.pool.fetch(query("read_due_instances"), every, lease, instance or 0)
        now = datetime.now(UTC)
        return [row for row in rows if every or is_due(row["quiet_hours"], now, pinged=row["pinged"])]

    async def visit_all(self, on_progress: OnProgress, *, only: str | None = None) -> list[Progress]:
        """Visit every enabled instance at once, each on its own; returns how each visit ended.

        One that somebody else visits is left to them; one whose visitor died is taken over.
        """
        rows = [row for row in await self.due(every=True) if only is None or row["name"] == only]
        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(self._visit_in_turn(row, on_progress)) for row in rows]
        return [visit.result() for visit in visits]

    async def _visit_in_turn(self, row: Row, on_progress: OnProgress) -> Progress:
        progress = await self.visit(row, on_progress)
        while progress.outcome == "skipped" and await silent(self.pool, row["n"], self.settings):
            progress = await self.visit(row, on_progress)
        return progress

    async def visit(self, row: Row, on_progress: OnProgress) -> Progress:
        """One visit. Whatever goes wrong with the instance is in the result and in its run row, not raised."""
        progress = Progress(row["name"])
        try:
            self.check_room()
            run = await start_run(self.pool, row["n"], self.settings)
            if run is None:
                progress.outcome, progress.last_error = "skipped", "another process is visiting it"
                return progress
            await self._run(await read_visited(self.pool, row["n"], self.settings), run, progress, on_progress)
        except Exception as error:
            # the boundary of one instance: whatever it was, the others go on
            progress.outcome = "failed"
            progress.failed(error)
            unknown = None if isinstance(error, PanofedError) else error
            logger.error("visit failed: %s", error, exc_info=unknown, extra={"instance": row["name"]})
            with suppress(DatabaseError):
                async with explained("putting a visit off"):
                    await self.pool.execute(
                        query("visit_not_started"), row["n"], progress.last_error, self._backoff(row, error)
                    )
        progress.end()
        on_progress(progress)
        return progress

    async def _run(self, row: Row, run: int, progress: Progress, on_progress: OnProgress) -> None:
        error: Exception | None = None
        cancelled = False
        try:
            async with asyncio.TaskGroup() as group:
                watches = [
                    group.create_task(self._watch_room()),
                    group.create_task(keep_reporting(self.pool, run, progress)),
                ]
                async with explained("harvesting"):
                    await self._harvest(row, run, progress, on_progress)
                for watch in watches:
                    watch.cancel()
            progress.outcome = "done"
        except* asyncio.CancelledError:
            # raised again here it would come out in a group, and the task would not count as cancelled
            progress.outcome, cancelled = "interrupted", True
        except* Exception as faults:
            error = _first(faults)
            progress.outcome = "failed"
            progress.failed(error)
            if not isinstance(error, PanofedError):
                logger.exception("visit failed by a fault of ours", extra={"instance": row["name"]})
        finally:
            if not isinstance(error, RunFenced):
                await asyncio.shield(self._close_when_possible(row, run, progress, error))
        if cancelled:
            raise asyncio.CancelledError

    def check_room(self) -> None:
        """DatabaseFull when the database's disk is nearly full.

        Tables that cannot grow are an error of one statement; a log that cannot grow ends the whole server, and reading
        with it. So visits end before.
        """
        if self.disk is None:
            return
        free, kept = shutil.disk_usage(self.disk).free, self.settings.disk_reserve_bytes
        if free < kept:
            raise DatabaseFull(
                f"the database's disk is full: {free / 1e6:,.0f} MB are free at {self.disk}, "
                f"and harvesting leaves {kept / 1e6:,.0f} MB (PANOFED_DISK_RESERVE_BYTES)"
            )

    async def _watch_room(self) -> None:
        while True:
            self.check_room()
            await asyncio.sleep(REPORT_S / 2)

    async def _harvest(self, row: Row, run: int, progress: Progress, on_progress: OnProgress) -> None:
        async with self._equipped(row, run, progress, on_progress) as visit:
            await self._refresh_configuration(row, run, visit.client, progress)
            known = visit.client.capabilities
            await visit.harvest()
            if visit.client.capabilities != known:
                learnt = orjson.dumps(visit.client.capabilities.kept()).decode()
                await self.pool.execute(query("keep_capabilities"), row["n"], learnt, run)
            packer = visit.packer
            if packer.packer.dictionary and packer.plain_sequences:
                progress.phase = "packing"
                await repack(self.pool, packer.plain_sequences, packer.packer)

    @asynccontextmanager
    async def _equipped(self, row: Row, run: int, progress: Progress, on_progress: OnProgress) -> AsyncIterator[Visit]:
        """A visit with its session at the instance and its lanes; both are shared politely with other workers'."""
        settings = self.settings
        limits = {"concurrency": row["concurrency"], "requests_per_s": row["requests_per_s"]}
        async with AsyncExitStack() as stack:
            turnstile = await stack.enter_async_context(shared_turnstile(self.pool, row["n"], settings, **limits))
            session = await stack.enter_async_context(
                OriginSession(settings, row["url"], instance=row["name"], turnstile=turnstile)
            )
            client = InstanceClient(
                session, settings, row["name"], Capabilities.read(orjson.loads(row["capabilities"]))
            )
            consent = Consent(
                dsn=self.dsn,
                pool=self.pool,
                settings=settings,
                instance=row["n"],
                session=session,
                keep_landing=client.keep_landing,
            )
            await consent.ask(progress)
            most = min(row["concurrency"] or settings.instance_concurrency, settings.visit_lanes)
            lanes = Lanes(self.dsn, settings, most)
            stack.push_async_callback(lanes.close)
            async with self.pool.acquire() as connection:
                packer = await PackerOf.load(connection, row["n"], settings)
            try:
                yield Visit(
                    instance=_instance(row),
                    run=run,
                    client=client,
                    pool=self.pool,
                    settings=settings,
                    lanes=lanes,
                    packer=packer,
                    names=Names(row["n"], run),
                    progress=progress,
                    on_progress=on_progress,
                    worker=worker_name(),
                    tell=partial(report_run, self.pool, run, progress),
                    ask_help=self._ask_help,
                    thorough=self.thorough,
                )
            finally:
                # told even when nothing changed
                progress.requests, progress.received_bytes = session.requests, session.received_bytes
                progress.answers = session.answers

    async def _ask_help(self, instance: int) -> None:
        if self.queue is not None and self.settings.crawl_workers > 1:
            await self.queue.put_help(instance, self.settings.crawl_workers - 1)

    async def help(self, row: Row, run: int, on_progress: OnProgress) -> Progress:
        """Read ranges of another worker's first crawl, until none is free. What goes wrong is in the result."""
        progress = Progress(row["name"])
        try:
            self.check_room()
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(keep_reporting(self.pool, run, progress, helps=True))
                async with self._equipped(row, run, progress, on_progress) as visit:
                    visit.tell = partial(report_help, self.pool, run, progress)
                    await read_ranges(visit)
                watch.cancel()
            progress.outcome = "done"
        except* Exception as faults:
            error = _first(faults)
            progress.outcome = "failed"
            progress.failed(error)
            unknown = None if isinstance(error, PanofedError) else error
            logger.warning("help ended: %s", error, exc_info=unknown, extra={"instance": row["name"]})
        finally:
            with suppress(DatabaseError):
                await asyncio.shield(report_help(self.pool, run, progress))
            progress.end()
        return progress

    async def _refresh_configuration(self, row: Row, run: int, client: InstanceClient, progress: Progress) -> None:
        """Landing page and configuration once a day; when it fails later on, the former copy is kept."""
        if row["configuration_at"] is not None and datetime.now(UTC) - row["configuration_at"] < _CONFIGURATION_AGE:
            return
        landing = None
        try:
            landing = await client.landing()
            configuration = await client.configuration()
        except OriginError as error:
            if row["configuration_at"] is None:
                raise
            if landing is None and isinstance(error, OriginMalformed):
                await note_unfit(self.pool, row["n"], run, str(error))
            return
        now = Spoken.of(landing)
        document = (configuration or b"{}").decode().replace("\\u0000", "")
        if await keep_spoken(self.pool, row["n"], run, now, document):
            progress.terms_changed = 1
            logger.info("another licence or name: everything is read again", extra={"instance": row["name"]})

    async def _close_when_possible(self, row: Row, run: int, progress: Progress, error: Exception | None) -> None:
        """Write down how the visit ended. When the database stays away, the next visit calls this run interrupted."""
        for wait_s in (*_CLOSE_AGAIN_S, 0.0):
            try:
                await self._close(row, run, progress, error)
            except RunFenced:
                return
            except DatabaseError as fault:
                logger.warning("run not closed: %s", fault, extra={"run": run})
            else:
                return
            if progress.outcome == "interrupted":
                return  # this process is being stopped, and must not be held up
            await asyncio.sleep(wait_s)

    async def _close(self, row: Row, run: int, progress: Progress, error: Exception | None) -> None:
        progress.take_totals(await report_run(self.pool, run, progress))
        if progress.outcome == "done" and (progress.sequences_failed or progress.pictures_quarantined):
            progress.outcome = "partial"
        async with explained("closing the run"):
            if progress.outcome == "done" and await self.pool.fetchval(query("has_retries"), row["n"]):
                # of an earlier visit, and its time has not come
                progress.outcome = "partial"
        async with explained("closing the run"), self.pool.acquire() as connection, connection.transaction():
            if progress.outcome in ("done", "partial"):
                await self._succeeded(connection, row, run, progress)
            elif error is not None:
                values = row["n"], run, progress.last_error, self._backoff(row, error)
                await connection.execute(query("visit_failed"), *values)
                found = answered(error)
                if found is not None:
                    await note_visit(connection, row["n"], run, progress, answered=found, settings=self.settings)
            await connection.execute(query("end_run"), run, progress.outcome)

    async def _succeeded(self, connection: Connection, row: Row, run: int, progress: Progress) -> None:
        moved = bool(progress.sequences_changed or progress.sequences_removed)
        unchanged = timedelta() if moved else row["unchanged"]
        pause = timedelta(seconds=pause_s(self.settings, row["cadence_s"], unchanged))
        await connection.execute(query("visit_succeeded"), row["n"], run, pause, moved)
        expected = expected_at(pause, row["quiet_hours"])
        await note_visit(connection, row["n"], run, progress, answered=True, settings=self.settings, expected=expected)

    def _backoff(self, row: Row, error: Exception) -> timedelta:
        """What the instance asks for (Retry-After), or the circuit breaker's pause, may be longer than ours."""
        asked_s = getattr(error, "retry_after_s", None) or 0.0
        return timedelta(seconds=max(backoff_s(self.settings, row["cadence_s"], row["failures"]), asked_s))


def _instance(row: Row) -> Instance:
    return Instance(
        n=row["n"],
        id=row["id"],
        name=row["name"],
        url=row["url"],
        cursor=row["cursor"],
        crawl_after=None if row["crawl_after"] is None else str(row["crawl_after"]),
        crawl_started=row["crawl_started"],
        listed_at=row["listed_at"],
    )


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The fault that says most: a full disk or a lost database before what followed from it."""
    leaves: list[Exception] = []
    pending: list[BaseException] = [group]
    while pending:
        each = pending.pop(0)
        if isinstance(each, BaseExceptionGroup):
            pending.extend(each.exceptions)
        elif isinstance(each, Exception):
            leaves.append(in_our_words("harvesting", each))
    for kind in (RunFenced, DatabaseFull, DatabaseError):
        for leaf in leaves:
            if isinstance(leaf, kind) and not isinstance(leaf, RangeLost):
                return leaf
    return leaves[0]
