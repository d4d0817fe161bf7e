"""`panofed runs`: the latest visits as they are, and of one instance what waits: retries, follow-ups, quarantine."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from federation.database import Role, Row, explained, open_pool
from federation.queries import query
from federation.settings import Settings, load_settings
from panofed.messages import OUTCOME_COLOURS, read_again, told, with_address
from panofed.ready import ready_database

console = Console(highlight=False)

#: Lines of what waits, per kind.
_WAITING_MAX = 20
_COLUMNS = ("run", "instance", "started (UTC)", "outcome", "seconds", "changed", "gone", "put off", "pictures", "aside")
_TEXTS = ("instance", "started (UTC)", "outcome")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """What the visits to one instance left behind."""

    retries: list[Row]
    followups: Row
    quarantine: list[Row]


def runs(
    instance: Annotated[str, typer.Argument(help="Only this instance, and what waits of it.")] = "",
    last: Annotated[int, typer.Option("--last", "-n", min=1, max=1000, help="How many.")] = 20,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also visits that found nothing new.")] = False,
) -> None:
    """Show the latest visits: what was seen, what changed, what went wrong; of one instance also what waits."""
    with told():
        settings = load_settings()
        dsn = ready_database(settings)
        rows, waiting = asyncio.run(_read(dsn, settings, instance, last, everything))
    if not rows:
        whose = f" to {escape(instance)}" if instance else ""
        console.print(
            f"No visit{whose} that changed anything. All of them: panofed runs --all; a new one: panofed harvest --once"
        )
    else:
        console.print(_table(rows))
        _tell_notes(rows)
        _tell_errors(rows)
    if waiting is not None:
        _tell_waiting(instance, waiting)


def _table(rows: list[Row]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 1, 0, 0), pad_edge=False)
    for name in _COLUMNS:
        table.add_column(name, no_wrap=True, justify="left" if name in _TEXTS else "right")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row["outcome"] if row["outcome"] != "running" else how_far(row)
    return (
        str(row["n"]), escape(row["name"]), f"{row['started_at']:%Y-%m-%d %H:%M:%S}",
        f"[{OUTCOME_COLOURS.get(row['outcome'], 'dim')}]{outcome}[/]", f"{row['seconds']:,.1f}",
        f"{row['sequences_changed']:,}", f"{row['sequences_removed']:,}", f"{row['sequences_failed']:,}",
        f"{row['pictures_seen']:,}", f"{row['pictures_quarantined']:,}",
    )  # fmt: skip


def how_far(row: Row) -> str:
    """Of a visit under way: its phase, and where the instance says how much there is, the part done, rate and rest.

    >>> how_far({"phase": "first crawl", "pictures_seen": 600, "pictures_expected": 2400, "seconds": 60.0})
    'first crawl, 25 %, 10/s, 3 min left'
    >>> how_far({"phase": "reading changes", "pictures_seen": 0, "pictures_expected": 0, "seconds": 1.0})
    'reading changes'
    """
    seen, expected = row["pictures_seen"], row["pictures_expected"]
    if not seen or expected <= 0:
        return str(row["phase"])
    rate = seen / max(row["seconds"], 0.001)
    share = min(99, 100 * seen // expected)
    return f"{row['phase']}, {share} %, {rate:,.0f}/s, {duration(max(0, expected - seen) / rate)} left"


def duration(seconds: float) -> str:
    """Roughly, for people.

    >>> duration(42), duration(200), duration(9_000), duration(200_000)
    ('42 s', '3 min', '2 h 30 min', '2 d 7 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 90:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _tell_notes(rows: list[Row]) -> None:
    for row in rows:
        if noted := read_again(row["accounts_renamed"], row["terms_changed"]):
            console.print(f"[dim]run {row['n']}: {noted}[/]", soft_wrap=True)


def _tell_errors(rows: list[Row]) -> None:
    for row in rows:
        if row["last_error"]:
            said = f"run {row['n']}: {escape(with_address(row['last_error'], row['last_error_url']))}"
            console.print(f"[yellow]{said}[/]", soft_wrap=True)


def _tell_waiting(instance: str, waiting: _Waiting) -> None:
    now = datetime.now(UTC)
    if waiting.retries:
        console.print("\n[bold]Sequences that could not be merged[/] (the other ones are; each is tried again)")
    for row in waiting.retries:
        due = (row["next_at"] - now).total_seconds()
        when = f"in {duration(due)}" if due > 0 else "with the next visit"
        tried = "once" if row["attempts"] == 1 else f"{row['attempts']:,} times"
        said = escape(with_address(row["error"], row["url"]))
        console.print(f"  {row['sequence']}: tried {tried}, again {when}: {said}", soft_wrap=True)
    if count := waiting.followups["sequences"]:
        noun = "sequence" if count == 1 else "sequences"
        console.print(f"\nStill being processed there, and read again: {count:,} {noun}")
    if waiting.quarantine:
        console.print("\n[bold]Records set aside[/] (their neighbours are served)")
    for row in waiting.quarantine:
        reason = escape(f"{row['field']}: {row['problem']} (such as {row['example']})")
        console.print(f"  {row['records']:,} x {reason}", soft_wrap=True)
    if not (waiting.retries or waiting.quarantine or waiting.followups["sequences"]):
        console.print(f"Nothing of {escape(instance)} waits or is set aside.")


async def _read(
    dsn: str, settings: Settings, instance: str, last: int, everything: bool
) -> tuple[list[Row], _Waiting | None]:
    # what is quarantined is for operators: the catalog's own role does not see it
    async with open_pool(dsn, Role.OPERATOR, settings, size=1) as pool, explained("reading runs"):
        rows: list[Row] = await pool.fetch(query("latest_runs"), instance, last, everything)
        if not instance:
            return rows, None
        waiting = _Waiting(
            retries=await pool.fetch(query("waiting_retries"), instance, _WAITING_MAX),
            followups=(await pool.fetch(query("waiting_followups"), instance))[0],
            quarantine=await pool.fetch(query("quarantine_reasons"), instance, _WAITING_MAX),
        )
        return rows, waiting
