"""The work behind `panofed harvest`: one round with a progress bar, or visits for ever; imports the whole harvester."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from federation.database import Role, check_schema, open_pool
from federation.errors import ConfigurationError
from federation.settings import Settings
from harvester.compact import compact
from harvester.days import count_held
from harvester.fold import fold
from harvester.health import watch_health
from harvester.notices import tell_events
from harvester.progress import COUNTED
from harvester.progress import Progress as Visited
from harvester.queue import POOL_SIZE, Kind, Queue
from harvester.runs import worker_name
from harvester.schedule import Service, sync_file
from harvester.split import split_leaves
from harvester.visit import Harvester
from panofed.messages import OUTCOME_COLOURS, nothing_enabled, read_again, with_address
from panofed.ready import database_folder

logger = logging.getLogger(__name__)

console = Console(highlight=False)


async def harvest_once(dsn: str, settings: Settings, instance: str, *, thorough: bool = False) -> bool:
    """One visit of each enabled instance; returns whether any failed. `thorough`: every sequence is read again."""
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        await sync_file(pool, settings)
        disk = database_folder(settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings, disk=disk, queue=Queue(pool), thorough=thorough)
        due = [row["name"] for row in await harvester.due(every=True)]
        if instance and instance not in due:
            raise ConfigurationError(
                f"--instance {instance}: no enabled instance has that name ({', '.join(due) or 'none is enabled'})"
            )
        if not due:
            console.print(nothing_enabled(settings))
            return False
        with _bars() as bars:
            keeping = asyncio.create_task(_keep_house(harvester))
            visits = await harvester.visit_all(bars.show, only=instance or None)
            keeping.cancel()
        await _finish(harvester)
        await _tell_of(harvester)
    console.print(_summary(visits), soft_wrap=True)
    return any(visit.outcome == "failed" for visit in visits)


async def _keep_house(harvester: Harvester) -> None:
    """Fold and split while a long crawl runs, so that neither grows without bound."""
    while True:
        await asyncio.sleep(harvester.settings.fold_interval_s)
        await fold(harvester.pool, harvester.settings)
        await split_leaves(harvester.pool, harvester.settings)


async def _finish(harvester: Harvester) -> None:
    with console.status("Folding counts, splitting large leaves, rebuilding grown indexes..."):
        await fold(harvester.pool, harvester.settings)
        if await split_leaves(harvester.pool, harvester.settings):
            await fold(harvester.pool, harvester.settings)
        await compact(harvester.dsn, harvester.settings)


async def _tell_of(harvester: Harvester) -> None:
    """What the visits found of the instances' health, and who asked to hear of it."""
    await count_held(harvester.pool)
    await watch_health(harvester.pool, harvester.settings, datetime.now(UTC))
    await tell_events(harvester.pool, harvester.settings)


async def serve_harvests(dsn: str, settings: Settings, *, alone: bool) -> bool:
    """Visit at each instance's cadence until SIGINT or SIGTERM. `alone`: nobody else tells that none is enabled."""
    stop = _stop_by_signal()
    async with open_pool(dsn, Role.WRITER, settings) as pool, _open_queue(dsn, settings) as queue:
        await sync_file(pool, settings)
        disk = database_folder(settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings, disk=disk, queue=queue)
        if alone and not await harvester.due(every=True):
            console.print(nothing_enabled(settings))
        await Service(harvester=harvester, queue=queue, on_end=_log).run(stop)
    return False


async def serve_jobs(dsn: str, settings: Settings) -> None:
    """Take jobs until SIGINT or SIGTERM, and tell of what was done."""
    stop = _stop_by_signal()
    async with open_pool(dsn, Role.WRITER, settings) as pool, _open_queue(dsn, settings) as queue:
        async with pool.acquire() as connection:
            await check_schema(connection)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings, disk=database_folder(settings), queue=queue)
        told = _tell if console.is_terminal else _log
        console.print(f"worker {worker_name()} takes up to {settings.worker_jobs} jobs at once; Ctrl-C stops it")
        await Service(harvester=harvester, queue=queue, on_end=told, keeps_house=False).run(stop)
    console.print("stopped; other workers, or the next start, go on from here")


def _stop_by_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def _open_queue(dsn: str, settings: Settings) -> AsyncIterator[Queue]:
    async with open_pool(dsn, Role.WRITER, settings, size=POOL_SIZE) as pool:
        yield Queue(pool)


def _tell(kind: Kind, visit: Visited) -> None:
    """On a terminal: what changed something or went wrong; visits that found nothing new would fill it."""
    if visit.outcome != "done" or visit.sequences_changed or visit.sequences_removed or visit.pictures_seen:
        helped = "helped with " if kind is Kind.HELP else ""
        console.print(f"[dim]{datetime.now(UTC):%H:%M:%S}[/] {helped}{_told_visit(visit)}", soft_wrap=True)


def _log(kind: Kind, visit: Visited) -> None:
    counts = dict(zip(COUNTED, visit.counts(), strict=True))
    told = {name: count for name, count in counts.items() if count}
    logger.info("%s ended", kind.value, extra={"instance": visit.instance, "outcome": visit.outcome, **told})


@dataclass(slots=True)
class _Bars:
    """One line for each instance that is being visited."""

    display: Progress
    _lines: dict[str, TaskID] = field(default_factory=dict)

    def show(self, visit: Visited) -> None:
        """Bring an instance's line up to date."""
        if visit.instance not in self._lines:
            self._lines[visit.instance] = self.display.add_task(escape(visit.instance), total=None, note="")
        done = visit.sequences_changed + visit.sequences_failed
        self.display.update(
            self._lines[visit.instance],
            completed=min(done, visit.sequences_expected),
            total=visit.sequences_expected or None,
            note=f"{visit.pictures_seen:,} pictures, {visit.pictures_per_s:,.0f}/s, {escape(visit.phase)}",
        )


@contextmanager
def _bars() -> Iterator[_Bars]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
               TextColumn("sequences · {task.fields[note]}"), TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as display:
        yield _Bars(display)


def _summary(visits: list[Visited]) -> str:
    return "\n".join(_told_visit(visit) for visit in sorted(visits, key=lambda visit: visit.instance))


def _told_visit(visit: Visited) -> str:
    """One visit in a line, zeros left out; its last error on a second one."""
    outcome = f"[{OUTCOME_COLOURS.get(visit.outcome, 'dim')}]{visit.outcome}[/]"
    sequences = _counted(
        f"{visit.sequences_seen:,} sequences listed",
        {"changed": visit.sequences_changed, "removed": visit.sequences_removed, "put off": visit.sequences_failed},
    )
    pictures = _counted(
        f"{visit.pictures_seen:,} pictures read",
        {"new or changed": visit.pictures_changed, "removed": visit.pictures_removed,
         "put aside": visit.pictures_quarantined, "not public": visit.pictures_not_public},
    )  # fmt: skip
    cost = f"{visit.requests:,} requests, {visit.received_bytes / 1e6:,.1f} MB"
    told = f"{escape(visit.instance)}: {outcome} in {visit.elapsed_s:,.1f} s. {sequences}. {pictures}. {cost}."
    if noted := read_again(visit.accounts_renamed, visit.terms_changed):
        told += f"\n  {noted}"
    if visit.outcome == "partial" and not (visit.sequences_failed or visit.pictures_quarantined):
        told += f"\n  sequences of earlier visits wait for another try: panofed runs {escape(visit.instance)}"
    if visit.last_error:
        told += f"\n  [yellow]{escape(with_address(visit.last_error, visit.last_error_url))}[/]"
    return told


def _counted(what: str, parts: dict[str, int]) -> str:
    """What there was, and the parts of it that are not zero.

    >>> _counted("10 sequences listed", {"changed": 2, "removed": 0})
    '10 sequences listed: 2 changed'
    >>> _counted("0 pictures read", {"removed": 0})
    '0 pictures read, none changed'
    """
    there = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{what}: {there}" if there else f"{what}, none changed"
