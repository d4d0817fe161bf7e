"""The table of `panofed instances list`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import orjson
from rich.markup import escape
from rich.table import Table

from federation.capabilities import Capabilities
from federation.database import Row
from federation.instances import InstanceEntry, state_of

STATE_COLOURS = {
    "enabled": "green", "disabled": "dim", "paused": "yellow", "braked": "red", "leaving": "magenta", "left": "dim",
}  # fmt: skip
#: What a person decided about inferred absence.
_KEPT = {"refused": "keeps what it no longer lists", "confirmed": "what it no longer lists will be removed"}


def instances_table(entries: Sequence[InstanceEntry], rows: Sequence[Row]) -> Table:
    """Every entry of the file and every instance of the index, with what is held of it."""
    table = Table(box=None, pad_edge=False)
    table.add_column("name", no_wrap=True)
    table.add_column("state")
    for heading in ("pictures", "sequences"):
        table.add_column(heading, justify="right", no_wrap=True)
    for heading in ("last success", "lag", "version", "licence"):
        table.add_column(heading)
    held = {row["id"]: row for row in rows}
    for entry in entries:
        if entry.id not in held:
            size = "" if entry.pictures is None else f"[dim]~{entry.pictures:,}[/dim]"
            table.add_row(entry.name, _coloured(state_of(entry)), size, "", "never", "", "", "")
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _coloured(state: str, reason: str = "") -> str:
    text = f"[{STATE_COLOURS[state]}]{state}[/]"
    return f"{text}: {escape(reason)}" if reason else text


def capability_lines(rows: Sequence[Row]) -> list[str]:
    """What each instance can and cannot signal, as far as a visit found out."""
    told = [(row["name"], Capabilities.read(orjson.loads(row["capabilities"])).words()) for row in rows]
    return [f"[dim]{name}: {escape(words)}[/]" for name, words in told if words]


def trouble_lines(rows: Sequence[Row]) -> list[str]:
    """What is wrong with those that are visited: visits that fail, sequences that wait for another try."""
    return [f"[yellow]{row['name']}: {escape(said)}[/]" for row in rows for said in _troubles(row)]


def _troubles(row: Row) -> list[str]:
    if row["state"] != "enabled":
        return []
    said = []
    if failures := row["failures"]:
        count = "the last visit" if failures == 1 else f"the last {failures:,} visits"
        pause = row["next_visit_at"] - row["at"]
        when = f"the next one in {duration(pause)}" if pause > timedelta() else "the next one is due"
        said.append(f"{count} failed, {when}: {row['last_error']}")
    if waiting := row["retries"]:
        which = "1 sequence waits" if waiting == 1 else f"{waiting:,} sequences wait"
        said.append(f"{which} for another try: panofed runs {row['name']}")
    return said


def _cells(row: Row) -> tuple[str, ...]:
    success = row["last_success_at"]
    return (
        row["name"],
        _coloured(row["state"], row["state_reason"] or _KEPT.get(row["absence_decided"], "")) + _pace(row),
        f"{row['pictures']:,}",
        f"{row['sequences']:,}",
        "never" if success is None else f"{success:%Y-%m-%d %H:%M}",
        "" if success is None else duration(row["at"] - success),
        escape(row["version"]),
        escape(row["license"]),
    )


def _pace(row: Row) -> str:
    """What its entry says about when it is visited."""
    own = [] if row["cadence_s"] is None else [f"every {duration(timedelta(seconds=row['cadence_s']))}"]
    if row["quiet_hours"]:
        own.append(f"quiet {row['quiet_hours']} UTC")
    return f" [dim]({', '.join(own)})[/dim]" if own else ""


def duration(span: timedelta) -> str:
    """A span of time as people say it, in one unit.

    >>> duration(timedelta(seconds=42)), duration(timedelta(minutes=90)), duration(timedelta(days=3))
    ('42 s', '90 min', '3 d')
    """
    seconds = max(0, int(span.total_seconds()))
    for limit, size, unit in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds // size} {unit}"
    return f"{seconds // 86_400} d"
