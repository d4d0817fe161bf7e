"""What else was taken at a picture's place: the nearest picture of every other sequence, looking the same way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from catalog_api.answers.stac import Neighbour
from catalog_api.index.index import Index
from catalog_api.query.places import cap_box
from federation.cells import around, parent
from federation.database import Row, point_ewkb
from federation.leaves import LeafSet
from federation.queries import query

#: Metres and degrees, from the instances' own rule.
RELATED_WITHIN_M = 15.0
_HEADING_MOST_DEG = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A picture within the distance."""

    neighbour: Neighbour
    distance_m: float
    azimuth: int | None
    is_360: bool


async def related_to(index: Index, row: Row) -> list[Neighbour]:
    """One neighbour per other sequence, nearest first. `row` comes with those of its own leaf."""
    longitude, latitude = row["longitude"], row["latitude"]
    box = cap_box((longitude, latitude), RELATED_WITHIN_M)
    if box.crosses or box.east - box.west > 180 or abs(latitude) > 89:
        # the plane box of the first statement does not hold the circle here
        candidates = await _elsewhere(index, row, own_too=True)
    else:
        candidates = [_from_text(line) for line in row["near"]]
        candidates += await _elsewhere(index, row, own_too=False)
    return choose(candidates, row["azimuth"], is_360=row["is_360"])


async def _elsewhere(index: Index, row: Row, *, own_too: bool) -> list[Candidate]:
    """Candidates in other leaves: nearly always none has to be asked."""
    cells = around(row["h3"])

    async def work(leaves: LeafSet) -> list[Row]:
        touched = _leaves(leaves, cells)
        if not own_too:
            touched = touched - {row["cell"]}
        if not touched:
            return []
        place = (row["longitude"], row["latitude"])
        boxes = cap_box(place, RELATED_WITHIN_M).parts()
        return await index.read(
            leaves,
            query("catalog_related"),
            sorted(touched),
            point_ewkb(*place),
            [box.west for box in boxes],
            [box.south for box in boxes],
            [box.east for box in boxes],
            [box.north for box in boxes],
            row["sequence"],
        )

    return [_from_row(found) for found in await index.repeat(work)]


def _leaves(leaves: LeafSet, cells: Iterable[int]) -> set[int]:
    """Every leaf that may hold a point of these finest cells: the one they are written to, and those being split."""
    # they are neighbours, and nearly always have the same ancestors
    parents = {parent(cell, leaves.resolutions[-1]) for cell in cells} if leaves.resolutions else set()
    return {leaf for cell in parents for r in leaves.resolutions if (leaf := parent(cell, r)) in leaves.states}


def _from_text(line: str) -> Candidate:
    sequence, identifier, longitude, latitude, azimuth, is_360, distance, captured = line.split(" ", 7)
    return Candidate(
        neighbour=Neighbour(
            id=identifier,
            sequence=sequence,
            longitude=float(longitude),
            latitude=float(latitude),
            captured=datetime.fromisoformat(captured),
        ),
        distance_m=float(distance),
        azimuth=None if azimuth == "-1" else int(azimuth),
        is_360=is_360 == "1",
    )


def _from_row(row: Row) -> Candidate:
    return Candidate(
        neighbour=Neighbour(
            id=str(row["id"]),
            sequence=str(row["sequence"]),
            longitude=row["longitude"],
            latitude=row["latitude"],
            captured=row["datetime"],
        ),
        distance_m=row["distance"],
        azimuth=row["azimuth"],
        is_360=row["is_360"],
    )


def choose(candidates: Iterable[Candidate], azimuth: int | None, *, is_360: bool) -> list[Neighbour]:
    """The nearest of each sequence that looks the same way."""
    chosen: dict[str, Neighbour] = {}
    for each in sorted(candidates, key=lambda found: (found.distance_m, found.neighbour.id)):
        free = is_360 or each.is_360 or azimuth is None or each.azimuth is None
        if free or turn_deg(azimuth or 0, each.azimuth or 0) <= _HEADING_MOST_DEG:
            chosen.setdefault(each.neighbour.sequence, each.neighbour)
    return list(chosen.values())


def turn_deg(one: int, other: int) -> int:
    """How far apart two headings are, 0 to 180 degrees.

    >>> turn_deg(350, 10)
    20
    """
    return abs((one - other + 180) % 360 - 180)
