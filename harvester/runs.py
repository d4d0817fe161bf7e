"""The row of a run: who visits an instance now, by a lease that signs of life keep, and how far it is."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from federation.database import Pool, Row, explained
from federation.errors import DatabaseError, RunFenced
from federation.queries import query
from federation.settings import Settings
from harvester.progress import Progress

logger = logging.getLogger(__name__)

#: A run's row is brought up to date this often: it is the sign of life, and what people watch.
REPORT_S = 1.0


#: The first namespace of process numbers on Linux: containers have others.
_FIRST_NAMESPACE = 0xEFFFFFFC


def worker_name() -> str:
    """This process, for people: host, container if it is in one, number."""
    return f"{_place()}:{os.getpid()}"


def _place() -> str:
    """Where process numbers mean what they mean here."""
    with suppress(OSError):
        namespace = Path("/proc/self/ns/pid").stat().st_ino
        if namespace != _FIRST_NAMESPACE:
            return f"{platform.node()}/{namespace}"
    return platform.node()


def has_died(worker: str) -> bool:
    """Whether this worker is surely gone: a process of this machine that is not there any more.

    >>> has_died(worker_name()), has_died("elsewhere.example:12"), has_died(f"{_place()}:99999999")
    (False, False, True)
    """
    place, _, number = worker.rpartition(":")
    if place != _place() or not number.isdigit() or not Path("/proc/self/stat").exists():
        return False
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
    except OSError:
        return True
    # a zombie: killed, and its parent has not looked yet
    return state.split()[:1] == ["Z"]


async def start_run(pool: Pool, instance: int, settings: Settings) -> int | None:
    """The number of a new run, which alone may write for this instance; None while another one is alive.

    Whoever worked on an older run is fenced off from here on, also when it wakes from being frozen. The lease of a
    process of this machine that was killed is not waited for.
    """
    lease = timedelta(seconds=settings.run_lease_s)
    async with explained("starting a run"), pool.acquire() as connection, connection.transaction():
        await connection.fetchval(query("hold_instance"), instance)
        # a statement of its own: its snapshot is newer than the row lock, so it sees the run of whoever was first
        row = await connection.fetchrow(query("run_alive"), instance, lease)
        dead = row["n"] if row is not None and has_died(row["worker"]) else None
        run: int | None = await connection.fetchval(query("start_run"), instance, worker_name(), lease, dead)
        return run


async def read_visited(pool: Pool, instance: int, settings: Settings) -> Row:
    """The instance as it is now that nobody else writes for it."""
    async with explained("reading an instance"):
        row = await pool.fetchrow(query("read_due_instances"), True, timedelta(seconds=settings.run_lease_s), instance)
    if row is None:
        raise RunFenced("the instance was stopped or removed")
    return row


async def silent(pool: Pool, instance: int, settings: Settings) -> bool:
    """Wait for the lease of a run that gives no sign of life any more; False as soon as it gives one."""
    lease = timedelta(seconds=settings.run_lease_s)
    first = None
    while True:
        async with explained("watching a run"):
            row = await pool.fetchrow(query("run_alive"), instance, lease)
        if row is None or not row["alive"]:
            return True
        first = row["alive_at"] if first is None else first
        if row["alive_at"] != first:
            return False
        await asyncio.sleep(REPORT_S / 2)


async def report_run(pool: Pool, run: int, progress: Progress) -> Row:
    """Add what is new to the run's row; RunFenced when it was replaced."""
    row = await _tell(pool, "report_run", run, progress, (progress.phase,))
    if row is None:
        raise RunFenced(f"run {run} was replaced by a newer one")
    return row


async def report_help(pool: Pool, run: int, progress: Progress) -> None:
    """The same by a helper; RunFenced when nobody leads this run any more."""
    if await _tell(pool, "report_help", run, progress, ()) is None:
        raise RunFenced(f"run {run} ended or was replaced by a newer one")


async def _tell(pool: Pool, name: str, run: int, progress: Progress, phase: tuple[str, ...]) -> Row | None:
    """One after the other, and to the end once it is begun: a statement whose end nobody saw would be told again."""

    async def tell() -> Row | None:
        async with progress.telling:
            counts = progress.counts()
            said = (*phase, progress.last_error, progress.last_error_url)
            async with explained("reporting a run"):
                row = await pool.fetchrow(query(name), run, *said, *progress.untold(counts))
            if row is not None:
                progress.told(counts)
            return row

    telling = asyncio.ensure_future(tell())
    # where the visit is cancelled nobody waits for this any more, and that it failed is no news
    telling.add_done_callback(lambda task: task.cancelled() or task.exception())
    return await asyncio.shield(telling)


async def keep_reporting(pool: Pool, run: int, progress: Progress, *, helps: bool = False) -> None:
    """Until it is cancelled. A database that is away for a moment does not end the visit here; RunFenced does."""
    while True:
        try:
            if helps:
                await report_help(pool, run, progress)
            else:
                await report_run(pool, run, progress)
        except RunFenced:
            raise
        except DatabaseError:
            logger.warning("run not reported", extra={"run": run})
        await asyncio.sleep(REPORT_S)
