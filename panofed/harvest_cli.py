"""`panofed harvest` visits instances, once with a progress bar or as a service; `panofed runs` tells of the visits."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.database import Role, Row, explained, open_pool
from federation.queries import query
from federation.settings import Settings, load_settings
from panofed.messages import OUTCOME_COLOURS, told
from panofed.parent import end_with_parent
from panofed.ready import ready_database

console = Console(highlight=False)

Once = Annotated[bool, typer.Option("--once", help="Visit every enabled instance once, then end.")]
Only = Annotated[str, typer.Option("--instance", "-i", help="Only this one, with --once.")]
#: for the parts of `panofed run`, which must not outlive it
WithParent = Annotated[bool, typer.Option("--with-parent", hidden=True)]


def harvest(once: Once = False, instance: Only = "", with_parent: WithParent = False) -> None:
    """Visit the enabled instances and bring the index up to date; without --once, for ever."""
    # these take a third of a second to import, which no other command should wait for
    import uvloop

    from panofed.harvesting import harvest_once, serve_harvests
    from panofed.logs import configure_logs

    if instance and not once:
        raise typer.BadParameter("goes with --once", param_hint="--instance")
    with told():
        if with_parent:
            end_with_parent()
        settings = load_settings()
        dsn = ready_database(settings, report=console.print)
        configure_logs(settings, quiet=once)
        work = harvest_once(dsn, settings, instance) if once else serve_harvests(dsn, settings, alone=not with_parent)
        try:
            failed = uvloop.run(work)
        except KeyboardInterrupt:
            console.print("stopped; the next harvest goes on from here")
            raise typer.Exit(130) from None
    if failed:
        raise typer.Exit(1)


def runs(
    instance: Annotated[str, typer.Argument(help="Only this instance.")] = "",
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many.")] = 20,
) -> None:
    """Show the latest visits: what was seen, what changed, what went wrong."""
    with told():
        settings = load_settings()
        rows = asyncio.run(_read_runs(ready_database(settings), settings, instance, last))
    if not rows:
        whose = f" to {instance}" if instance else ""
        console.print(f"No visit{whose} yet. To make one: panofed harvest --once")
        return
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("run", "instance", "started (UTC)", "outcome", "seconds", "changed", "put off", "pictures", "aside"):
        table.add_column(name, no_wrap=True, justify="left" if name in _TEXTS else "right")
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        if row["last_error"]:
            console.print(f"[yellow]run {row['n']}: {escape(row['last_error'])}[/]", soft_wrap=True)


_TEXTS = ("instance", "started (UTC)", "outcome")


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row["outcome"] if row["outcome"] != "running" else f"running: {row['phase']}"
    return (
        str(row["n"]), escape(row["name"]), f"{row['started_at']:%Y-%m-%d %H:%M:%S}",
        f"[{OUTCOME_COLOURS.get(row['outcome'], 'dim')}]{outcome}[/]", f"{row['seconds']:,.1f}",
        f"{row['sequences_changed']:,}", f"{row['sequences_failed']:,}", f"{row['pictures_seen']:,}",
        f"{row['pictures_quarantined']:,}",
    )  # fmt: skip


async def _read_runs(dsn: str, settings: Settings, instance: str, last: int) -> list[Row]:
    async with open_pool(dsn, Role.READER, settings, size=1) as pool, explained("reading runs"):
        rows: list[Row] = await pool.fetch(query("latest_runs"), instance, last)
        return rows
