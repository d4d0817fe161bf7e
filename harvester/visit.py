"""A visit from outside: its lock, its run row, its connections, its outcome; and all visits that are due."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import orjson

from federation.database import Connection, Pool, Role, Row, connect, explained
from federation.errors import DatabaseError, DatabaseFull, OriginError, PanofedError, RunFenced
from federation.outbound import OriginSession
from federation.queries import query
from federation.settings import Settings
from harvester.client import InstanceClient, Listing
from harvester.crawl import Visit
from harvester.dictionaries import PackerOf, repack
from harvester.lane import Lane
from harvester.names import Names
from harvester.progress import OnProgress, Progress
from harvester.tasks import Instance, LaneState

logger = logging.getLogger(__name__)

_CONFIGURATION_AGE = timedelta(days=1)
_REPORT_S = 1.0
_BACKOFF_MAX_S = 3_600.0
#: A database that restarts is back in seconds: an ended visit is written down then.
_CLOSE_AGAIN_S = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvester:
    """What every visit needs: where the database is, a pool for short statements, the settings.

    `disk` is a folder on the database's disk, when that is a disk of this machine: visits leave some of it free.
    """

    dsn: str
    pool: Pool
    settings: Settings
    disk: Path | None = None

    async def due(self, *, every: bool) -> list[Row]:
        """Instances to visit now; with `every`, all that are enabled."""
        async with explained("reading instances"):
            rows: list[Row] = await self.pool.fetch(query("read_due_instances"), every)
            return rows

    async def visit_all(self, on_progress: OnProgress, *, only: str | None = None) -> list[Progress]:
        """Visit every enabled instance at once, each on its own; returns how each visit ended."""
        rows = [row for row in await self.due(every=True) if only is None or row["name"] == only]
        async with asyncio.TaskGroup() as group:
            visits = [group.create_task(self.visit(row, on_progress)) for row in rows]
        return [visit.result() for visit in visits]

    async def visit(self, row: Row, on_progress: OnProgress) -> Progress:
        """One visit. Whatever goes wrong with the instance is in the result and in its run row, not raised."""
        progress = Progress(row["name"])
        try:
            async with self._locked(row["n"]) as locked:
                if not locked:
                    progress.outcome, progress.last_error = "skipped", "another process is visiting it"
                    return progress
                await self._run(row, progress, on_progress)
        except Exception as error:
            # the boundary of one instance: whatever it was, the others go on
            progress.outcome = "failed"
            progress.failed(error)
            unknown = None if isinstance(error, PanofedError) else error
            logger.error("visit failed: %s", error, exc_info=unknown, extra={"instance": row["name"]})
            with suppress(DatabaseError):
                async with explained("putting a visit off"):
                    await self._put_off(self.pool, row, progress)
        on_progress(progress)
        return progress

    @asynccontextmanager
    async def _locked(self, instance: int) -> AsyncIterator[bool]:
        """A lock that lasts as long as its connection: it is free again when this process is killed."""
        connection = await connect(self.dsn, Role.WRITER, self.settings)
        try:
            async with explained("locking"):
                yield await connection.fetchval(query("lock_instance"), str(instance))
        finally:
            await connection.close()

    async def _run(self, row: Row, progress: Progress, on_progress: OnProgress) -> None:
        self.check_room()
        async with explained("starting a run"):
            await self.pool.execute(query("close_interrupted_runs"), row["n"])
            run: int = await self.pool.fetchval(query("start_run"), row["n"])
        reporter = asyncio.create_task(self._report(run, progress))
        error: Exception | None = None
        cancelled = False
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch_room())
                async with explained("harvesting"):
                    await self._harvest(row, run, progress, on_progress)
                watch.cancel()
            progress.outcome = "partial" if progress.sequences_failed or progress.pictures_quarantined else "done"
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
            reporter.cancel()
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
            await asyncio.sleep(_REPORT_S / 2)

    async def _harvest(self, row: Row, run: int, progress: Progress, on_progress: OnProgress) -> None:
        settings, capabilities = self.settings, orjson.loads(row["capabilities"])
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(
                OriginSession(
                    settings,
                    row["url"],
                    instance=row["name"],
                    concurrency=row["concurrency"],
                    requests_per_s=row["requests_per_s"],
                )
            )
            lanes = []
            for _ in range(row["concurrency"] or settings.instance_concurrency):
                lane = await Lane.open(self.dsn, settings)
                stack.push_async_callback(lane.close)
                lanes.append(LaneState(lane))
            listing = Listing(capabilities["listing"]) if "listing" in capabilities else None
            client = InstanceClient(session, settings, row["name"], listing)
            await self._refresh_configuration(row, client)
            packer = await PackerOf.load(lanes[0].lane.connection, row["n"], settings)
            visit = Visit(
                instance=_instance(row),
                run=run,
                client=client,
                pool=self.pool,
                settings=settings,
                lanes=lanes,
                packer=packer,
                names=Names(row["n"]),
                progress=progress,
                on_progress=on_progress,
            )
            try:
                await visit.harvest()
            finally:
                # told even when nothing changed
                progress.requests, progress.received_bytes = session.requests, session.received_bytes
            if client.listing is not None and client.listing != listing:
                await self._keep_listing(row, capabilities, client.listing)
            if packer.packer.dictionary and packer.plain_sequences:
                progress.phase = "packing"
                await repack(self.pool, packer.plain_sequences, packer.packer)

    async def _keep_listing(self, row: Row, capabilities: dict[str, object], listing: Listing) -> None:
        learnt = orjson.dumps({**capabilities, "listing": listing}).decode()
        await self.pool.execute(query("keep_capabilities"), row["n"], learnt)

    async def _refresh_configuration(self, row: Row, client: InstanceClient) -> None:
        """Landing page and configuration once a day; when it fails later on, the former copy is kept."""
        if row["configuration_at"] is not None and datetime.now(UTC) - row["configuration_at"] < _CONFIGURATION_AGE:
            return
        try:
            landing = await client.landing()
            configuration = await client.configuration()
        except OriginError:
            if row["configuration_at"] is None:
                raise
            return
        version = bytes(landing.get("geovisio_version", b"")).decode().strip('"')
        document = (configuration or b"{}").decode().replace("\\u0000", "")
        await self.pool.execute(query("keep_configuration"), row["n"], document, version[:64])

    async def _report(self, run: int, progress: Progress) -> None:
        """Keep the run's row alive; a database that is away for a moment does not end the visit here."""
        while True:
            try:
                await self.pool.execute(query("report_run"), run, *progress.columns())
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                logger.warning("run not reported", extra={"run": run})
            await asyncio.sleep(_REPORT_S)

    async def _close_when_possible(self, row: Row, run: int, progress: Progress, error: Exception | None) -> None:
        """Write down how the visit ended. When the database stays away, the next visit calls this run interrupted."""
        for pause_s in (*_CLOSE_AGAIN_S, 0.0):
            try:
                await self._close(row, run, progress, error)
            except DatabaseError as fault:
                logger.warning("run not closed: %s", fault, extra={"run": run})
            else:
                return
            if progress.outcome == "interrupted":
                return  # this process is being stopped, and must not be held up
            await asyncio.sleep(pause_s)

    async def _close(self, row: Row, run: int, progress: Progress, error: Exception | None) -> None:
        settings = self.settings
        async with explained("closing the run"), self.pool.acquire() as connection:
            await connection.execute(query("report_run"), run, *progress.columns())
            await connection.execute(query("end_run"), run, progress.outcome)
            if progress.outcome in ("done", "partial"):
                moved = bool(progress.sequences_changed or progress.sequences_removed)
                await connection.execute(
                    query("visit_succeeded"), row["n"], timedelta(seconds=settings.cadence_s), moved
                )
            elif error is not None:
                await self._put_off(connection, row, progress)

    async def _put_off(self, connection: Connection | Pool, row: Row, progress: Progress) -> None:
        delay_s = min(self.settings.cadence_s * 2 ** min(row["failures"], 10), _BACKOFF_MAX_S)
        await connection.execute(query("visit_failed"), row["n"], progress.last_error, timedelta(seconds=delay_s))


def _instance(row: Row) -> Instance:
    return Instance(
        n=row["n"],
        id=row["id"],
        name=row["name"],
        url=row["url"],
        cursor=row["cursor"],
        crawl_after=None if row["crawl_after"] is None else str(row["crawl_after"]),
        crawl_started=row["crawl_started"],
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
            leaves.append(each)
    for kind in (RunFenced, DatabaseFull, DatabaseError):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]
