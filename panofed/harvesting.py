"""The work behind `panofed harvest`: one round with a progress bar, or visits for ever; imports the whole harvester."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from federation.database import Role, open_pool
from federation.errors import ConfigurationError
from federation.settings import Settings
from harvester.compact import compact
from harvester.fold import fold
from harvester.progress import Progress as Visited
from harvester.schedule import Service, sync_file
from harvester.split import split_leaves
from harvester.visit import Harvester
from panofed.messages import OUTCOME_COLOURS, nothing_enabled
from panofed.ready import database_folder

console = Console(highlight=False)


async def harvest_once(dsn: str, settings: Settings, instance: str) -> bool:
    """One visit of each enabled instance; returns whether any failed."""
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        await sync_file(pool, settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings, disk=database_folder(settings))
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


async def serve_harvests(dsn: str, settings: Settings, *, alone: bool) -> bool:
    """Visit at each instance's cadence until SIGINT or SIGTERM. `alone`: nobody else tells that none is enabled."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        await sync_file(pool, settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings, disk=database_folder(settings))
        if alone and not await harvester.due(every=True):
            console.print(nothing_enabled(settings))
        await Service(harvester, lambda _: None).run(stop)
    return False


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
    return f"{told}\n  [yellow]{escape(visit.last_error)}[/]" if visit.last_error else told


def _counted(what: str, parts: dict[str, int]) -> str:
    """What there was, and the parts of it that are not zero.

    >>> _counted("10 sequences listed", {"changed": 2, "removed": 0})
    '10 sequences listed: 2 changed'
    >>> _counted("0 pictures read", {"removed": 0})
    '0 pictures read, none changed'
    """
    there = ", ".join(f"{count:,} {name}" for name, count in parts.items() if count)
    return f"{what}: {there}" if there else f"{what}, none changed"
