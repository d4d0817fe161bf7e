"""Statistics of what is held: of all, of each instance, and by month of upload. docs/api.md defines every figure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from catalog_api.index.index import Index
from federation.database import Row
from federation.queries import query

#: Coverage is counted in hexagons of this H3 resolution: 15,048 square metres, edges of 75.9 m on average.
COVERAGE_RESOLUTION = 10
#: A straight line crosses a hexagon on pi * area / perimeter = 104 m on average (Crofton's formula).
COVERAGE_KM_PER_CELL = 0.104
#: Who contributed within so many days is active.
ACTIVE_DAYS = 30

Figures = dict[str, float | int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What the statements gave; `names` of instances by their number."""

    names: Mapping[int, str]
    contributions: list[Row]
    months: list[Row]
    months_of_sequences: list[Row]
    first_months: list[Row]
    coverage: Mapping[int, int]
    coverage_of_all: int


async def read_stats(index: Index) -> dict[str, object]:
    """All statistics, computed now."""
    cells = cells_of_resolution(COVERAGE_RESOLUTION)
    registry = await index.fetch(query("catalog_registry"))
    coverage = await index.fetch(query("catalog_coverage"), *cells)
    of_all = await index.fetch(query("catalog_coverage_of_all"), *cells)
    read = Read(
        names={row["n"]: row["name"] for row in registry},
        contributions=await index.fetch(query("catalog_contributions"), timedelta(days=ACTIVE_DAYS)),
        months=await index.fetch(query("catalog_months")),
        months_of_sequences=await index.fetch(query("catalog_months_of_sequences")),
        first_months=await index.fetch(query("catalog_first_months")),
        coverage={row["instance"]: row["cells"] for row in coverage},
        coverage_of_all=int(of_all[0]["cells"]),
    )
    by_instance = {name: _of_instance(read, number) for number, name in sorted(read.names.items(), key=lambda e: e[1])}
    return {
        "generic_stats": _of_all(read),
        "stats_by_instance": by_instance,
        "stats_by_upload_month": _by_month(read, by_instance),
        "computed_at": datetime.now(UTC),
    }


def cells_of_resolution(resolution: int) -> tuple[int, int]:
    """The least and the greatest H3 index of a resolution: its bits stand before those of place.

    >>> [f"{cell:x}" for cell in cells_of_resolution(10)]
    ['8a0000000000000', '8afffffffffffff']
    """
    first = (1 << 59) | (resolution << 52)
    return first, first + (1 << 52) - 1


def _of_all(read: Read) -> Figures:
    return _figures(read.months, _contribution(read, None), read.coverage_of_all)


def _of_instance(read: Read, number: int) -> Figures:
    months = [row for row in read.months if row["instance"] == number]
    return _figures(months, _contribution(read, number), read.coverage.get(number, 0))


def _contribution(read: Read, number: int | None) -> Row | None:
    return next((row for row in read.contributions if row["instance"] == number), None)


def _figures(months: list[Row], contribution: Row | None, cells: int) -> Figures:
    return {
        "nb_pictures": sum(row["pictures"] for row in months),
        "pictures_original_size": sum(row["original_bytes"] for row in months),
        "nb_contributors": contribution["contributors"] if contribution else 0,
        "nb_active_contributors": contribution["active"] if contribution else 0,
        "approximated_coverage_km": round(cells * COVERAGE_KM_PER_CELL, 1),
        "collections_length_km": round((contribution["length_km"] or 0.0) if contribution else 0.0, 1),
    }


def _by_month(read: Read, by_instance: Mapping[str, Figures]) -> dict[str, dict[str, Figures]]:
    """Month, as YYYY-MM, to instance to figures. An instance is in the months in which something of it came."""
    pictures = {(row["month"], row["instance"]): row for row in read.months}
    sequences = {(row["month"], row["instance"]): row for row in read.months_of_sequences if row["month"]}
    found: dict[str, dict[str, Figures]] = {}
    for month, number in sorted({*pictures, *sequences}):
        name = read.names.get(number)
        if name is not None:
            of_month = (pictures.get((month, number)), sequences.get((month, number)))
            began = _began(read.first_months, number, month)
            found.setdefault(f"{month:%Y-%m}", {})[name] = _of_month(*of_month, began, by_instance[name])
    return found


def _of_month(pictures: Row | None, sequences: Row | None, began: int, whole: Figures) -> Figures:
    length_km = (sequences["length_km"] or 0.0) if sequences else 0.0
    # hexagons are not kept by month: a month has the share of its instance's coverage that it has of its length
    share = length_km / whole["collections_length_km"] if whole["collections_length_km"] else 0.0
    return {
        "nb_pictures": pictures["pictures"] if pictures else 0,
        "pictures_original_size": pictures["original_bytes"] if pictures else 0,
        "nb_contributors": began,
        "nb_active_contributors": sequences["contributors"] if sequences else 0,
        "approximated_coverage_km": round(min(1.0, share) * whole["approximated_coverage_km"], 1),
        "collections_length_km": round(length_km, 1),
    }


def _began(first_months: list[Row], number: int, month: date) -> int:
    """Contributors of an instance up to and including a month."""
    return sum(row["contributors"] for row in first_months if row["instance"] == number and row["month"] <= month)
