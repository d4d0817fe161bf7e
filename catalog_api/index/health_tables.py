"""The numbers behind the charts, as tables: days, months and freshness, of one instance, of each or of all together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from federation.database import Row

Cell = str | int | float | date | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Named columns and rows of plain values."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]


#: What is held, as it was last counted; of a day without a count the last one before it holds.
_HELD: dict[str, Callable[[Row], Any]] = {
    "pictures": lambda day: day["pictures"],
    "pictures_360": lambda day: day["pictures_360"],
    "sequences": lambda day: day["sequences"],
    "length_km": lambda day: None if day["length_m"] is None else round(day["length_m"] / 1_000, 3),
    "contributors": lambda day: day["contributors"],
    "quarantined": lambda day: day["quarantined"],
}
_SUMMED = (
    "visits", "failures", "up_s", "down_s", "requests", "answering_s", "received_bytes", "pictures_changed",
    "pictures_removed", "pictures_quarantined",
)  # fmt: skip
DAY_COLUMNS = ("day", *_SUMMED, "slowest_s", "uptime", "latency_s", *_HELD)


def table_of_each_day(days: Iterable[Row], names: Mapping[int, str]) -> Table:
    """A row for each day of each instance that has one."""
    rows = [(names[day["instance"]], *_day([day], [day])) for day in days if day["instance"] in names]
    return Table(columns=("instance", *DAY_COLUMNS), rows=rows)


def table_of_days(days: Mapping[int, Sequence[Row]]) -> Table:
    """All instances together, day by day. Contributors are summed: who contributes to two instances counts twice."""
    by_day: dict[date, list[Row]] = {}
    for each in (day for of_one in days.values() for day in of_one):
        by_day.setdefault(each["day"], []).append(each)
    last: dict[int, Row] = {}
    rows = []
    for day in sorted(by_day):
        last |= {each["instance"]: each for each in by_day[day] if each["pictures"] is not None}
        rows.append(_day(by_day[day], list(last.values())))
    return Table(columns=DAY_COLUMNS, rows=rows)


def _day(days: Sequence[Row], held: Sequence[Row]) -> tuple[Cell, ...]:
    """Rows of one day as one; what is held of those in `held`."""
    sums = {name: sum(day[name] for day in days) for name in _SUMMED}
    known_s = sums["up_s"] + sums["down_s"]
    counted = [[read(day) for day in held if read(day) is not None] for read in _HELD.values()]
    return (
        days[0]["day"],
        *(round(value, 3) for value in sums.values()),
        round(max(day["slowest_s"] for day in days), 3),
        round(sums["up_s"] / known_s, 5) if known_s else None,
        round(sums["answering_s"] / sums["requests"], 4) if sums["requests"] else None,
        *(round(sum(each), 3) if each else None for each in counted),
    )


def table_of_months(months: Iterable[Row], names: Mapping[int, str]) -> Table:
    """Pictures by month of upload and instance."""
    known = [row for row in months if row["instance"] in names]
    rows = [(f"{row['month']:%Y-%m}", names[row["instance"]], row["pictures"]) for row in known]
    return Table(columns=("month", "instance", "pictures"), rows=rows)


def table_of_freshness(freshness: Iterable[Row], names: Mapping[int, str]) -> Table:
    """How many changes of the last days took at most how long, and more than the bound before."""
    rows = [(names[row["instance"]], row["le_s"], row["changes"]) for row in freshness if row["instance"] in names]
    return Table(columns=("instance", "within_s", "changes"), rows=rows)
