"""`panofed harvest`: visits instances, once with a progress bar or as a service; `panofed runs` tells of them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from federation.database import Role, Row, explained, open_pool
from federation.errors import ConfigurationError
from federation.queries import query
from federation.settings import Settings, load_settings
from harvester.compact import compact
from harvester.fold import fold
from harvester.progress import Progress as Visited
from harvester.schedule import Service, sync_file
from harvester.split import split_leaves
from harvester.visit import Harvester
from panofed.logs import configure_logs
from panofed.messages import told
from panofed.ready import ready_database

console = Console()

Once = Annotated[bool, typer.Option("--once", help="Visit every enabled instance once, then end.")]
Only = Annotated[str, typer.Option("--instance", "-i", help="Only this one.")]


def harvest(once: Once = False, instance: Only = "") -> None:
    """Visit the enabled instances and bring the index up to date; without --once, for ever."""
    with told():
        settings = load_settings()
        dsn = ready_database(settings, report=lambda step: console.print(step, highlight=False))
        configure_logs(settings, quiet=once)
        work = harvest_once(dsn, settings, instance) if once else serve_harvests(dsn, settings)
        failed = uvloop.run(work)
    if failed:
        raise typer.Exit(1)


async def harvest_once(dsn: str, settings: Settings, instance: str) -> bool:
    """One visit of each enabled instance; returns whether any failed."""
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        await sync_file(pool, settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings)
        due = [row["name"] for row in await harvester.due(every=True)]
        if instance and instance not in due:
            raise ConfigurationError(
                f"--instance {instance}: no enabled instance has that name ({', '.join(due) or 'none is enabled'})"
            )
        if not due:
            tell_nothing_enabled(settings)
            return False
        with _bars() as bars:
            keeping = asyncio.create_task(_keep_house(harvester))
            visits = await harvester.visit_all(bars.show, only=instance or None)
            keeping.cancel()
        await _finish(harvester)
    console.print(_summary(visits))
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


async def serve_harvests(dsn: str, settings: Settings) -> bool:
    """Visit at each instance's cadence until SIGINT or SIGTERM."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        await sync_file(pool, settings)
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings)
        if not await harvester.due(every=True):
            tell_nothing_enabled(settings)
        await Service(harvester, lambda _: None).run(stop)
    return False


def tell_nothing_enabled(settings: Settings) -> None:
    """What to do when no instance is enabled."""
    console.print(
        f"No instance is enabled in {settings.instances_file}, so nothing is contacted.\n"
        "See them: panofed instances list\nEnable one: panofed instances enable NAME",
        highlight=False,
    )


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


def _summary(visits: list[Visited]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("instance", "outcome", "sequences", "changed", "removed", "failed", "pictures", "new or changed",
                 "removed", "put aside", "requests", "MB", "seconds"):  # fmt: skip
        table.add_column(name, justify="left" if name in ("instance", "outcome") else "right")
    for visit in visits:
        counts = (visit.sequences_seen, visit.sequences_changed, visit.sequences_removed, visit.sequences_failed,
                  visit.pictures_seen, visit.pictures_changed, visit.pictures_removed,
                  visit.pictures_quarantined, visit.requests)  # fmt: skip
        table.add_row(
            escape(visit.instance), _coloured(visit.outcome), *(f"{count:,}" for count in counts),
            f"{visit.received_bytes / 1e6:,.1f}", f"{visit.elapsed_s:,.1f}",
        )  # fmt: skip
        if visit.last_error:
            table.add_row("", f"[yellow]{escape(visit.last_error)}[/]")
    return table


def _coloured(outcome: str) -> str:
    colour = {"done": "green", "partial": "yellow", "failed": "red"}.get(outcome, "dim")
    return f"[{colour}]{outcome}[/]"


def runs(
    instance: Annotated[str, typer.Argument(help="Only this instance.")] = "",
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Show the latest visits: what was seen, what changed, what went wrong."""
    with told():
        settings = load_settings()
        rows = asyncio.run(_read_runs(ready_database(settings), settings, instance, last))
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("run", "instance", "started", "seconds", "outcome", "phase", "sequences", "changed", "failed",
                 "pictures", "put aside", "last error"):  # fmt: skip
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(
            str(row["n"]), row["name"], f"{row['started_at']:%Y-%m-%d %H:%M:%S}", f"{row['seconds']:,.1f}",
            _coloured(row["outcome"]), row["phase"], f"{row['sequences_seen']:,}", f"{row['sequences_changed']:,}",
            f"{row['sequences_failed']:,}", f"{row['pictures_seen']:,}", f"{row['pictures_quarantined']:,}",
            escape(row["last_error"]),
        )  # fmt: skip
    console.print(table if rows else "No visit yet: panofed harvest --once")


async def _read_runs(dsn: str, settings: Settings, instance: str, last: int) -> list[Row]:
    async with open_pool(dsn, Role.READER, settings, size=1) as pool, explained("reading runs"):
        rows: list[Row] = await pool.fetch(query("latest_runs"), instance, last)
        return rows
