"""Searches with a place: the nearest by geodesic first, exactly, without sorting the whole place; then all others.

The spatial index gives pictures by distance in plane degrees. From some of those an upper bound of the wanted distance
follows; then either no other picture can be nearer (Place.proves), or everything within that bound is read and sorted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from catalog_api.index.index import Index
from catalog_api.query.params import ALWAYS, Interval
from catalog_api.query.places import FAR_M, Place
from catalog_api.query.predicates import Predicate, spliced
from catalog_api.search.few_leaves import first_nearest, is_proven
from federation.cells import Box
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: More pictures than wanted are looked at for a bound: the nearest in plane degrees can be far from the nearest.
_SAMPLE = 2_000
ZERO_ID = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What else a picture must be. `sequences` are numbers, None for all."""

    interval: Interval
    sequences: tuple[int, ...] | None = None
    predicate: Predicate | None = None


NO_FILTERS = Filters(interval=ALWAYS)
#: Pictures come and go between two statements: of so many looked at, this share was surely looked at.
_SURE = 0.9


class Cut(Exception):
    """So few pictures pass that they are not all among those that could be looked at; `rows` surely come next."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """After which picture a page begins: by nearness, how many were given and the distance and id of the last; then by
    sequence, rank and id."""

    served: int = 0
    distance_m: float = -1.0
    id: str = ZERO_ID
    sequence: int = -1
    rank: int = 0
    last_id: str = ZERO_ID


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """Pictures of a place, the first `near` of them by nearness; the page before them ended at `start`."""

    start: Position
    rows: list[Row]
    near: int

    def after(self, index: int) -> Position:
        """Where the next page begins when this one ends with `rows[index]`."""
        row = self.rows[index]
        if index < self.near:
            return Position(served=self.start.served + index + 1, distance_m=row["distance"], id=str(row["id"]))
        before = self.after(self.near - 1) if self.near else self.start
        return replace(before, sequence=row["n"], rank=row["rank"], last_id=str(row["id"]))


async def search_place(
    index: Index, place: Place, filters: Filters, start: Position, wanted: int, nearness: int, most: int | None = None
) -> Around:
    """Up to `wanted` pictures after `start`; the first `nearness` by distance.

    `most` is how many pictures may be looked at for what passes the filters; Cut when those do not do.
    """

    async def work(leaves: LeafSet) -> Around:
        left = nearness - start.served
        if left <= 0:
            return Around(start=start, rows=await _others(index, leaves, place, filters, start, wanted), near=0)
        # one more than the nearest only says that there is more: for that, the others need not be sorted
        take = wanted if wanted <= left + 1 else left
        rows = await _next(index, leaves, place, filters, start, take, most)
        found = Around(start=start, rows=rows, near=take)
        if len(found.rows) < take or take == wanted:
            return found
        others = await _others(index, leaves, place, filters, found.after(take - 1), wanted - take)
        return replace(found, rows=found.rows + others)

    return await index.repeat(work)


async def _next(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, after: Position, take: int, most: int | None
) -> list[Row]:
    """The next `take` by nearness."""
    plain = place.ewkb is None and filters == NO_FILTERS and not leaves.hidden
    if plain and not after.served and not place.box.crosses:
        rows, sure = await first_nearest(index, leaves, place, _enough(take, place.centre[1]), take)
        if sure:
            return rows
        if len(rows) == take and rows[-1]["distance"] <= FAR_M:
            # none of the nearest is farther than the last of these
            return await read_within(index, leaves, place, filters, after, place.within(rows[-1]["distance"]), take)
    return await _nearest(index, leaves, place, filters, after, take, most)


async def _nearest(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, after: Position, take: int, most: int | None
) -> list[Row]:
    """The same in any case, all leaves planned together."""
    wanted = after.served + take
    bound_m: float | None = None
    if not place.box.crosses:
        looked_at = _enough(wanted, place.centre[1])
        cells = leaves.covering(place.box)
        looked = await _seen(index, leaves, place, filters, after, cells, looked_at, wanted, most)
        rows = sorted(looked, key=lambda row: (row["distance"], row["id"]))[:take]
        if most is not None and not any(row["seen"] >= looked_at for row in looked):
            if await _are_all(index, leaves, place, rows, take, most):
                return rows
        elif rows and is_proven(looked, rows[-1]["distance"], place, looked_at):
            return rows
        if not rows and not after.served:
            return []
        bound_m = rows[-1]["distance"] if rows else None
    if bound_m is None or bound_m > FAR_M:
        bound_m = await _bound_m(index, leaves, place, filters, wanted, most)
    boxes = place.within(bound_m) if bound_m is not None else list(place.box.parts())
    return await read_within(index, leaves, place, filters, after, boxes, take)


async def _are_all(index: Index, leaves: LeafSet, place: Place, rows: list[Row], take: int, most: int) -> bool:
    """Whether these are surely the nearest, when nothing more passes: in all of the place, or in what was looked at.

    Cut when they are too few.
    """
    if not await _holds_more(index, leaves, place.box, most):
        return True
    end = await _end_deg(index, leaves, place, most) if rows else None
    sure = [row for row in rows if end is not None and place.proves(row["distance"], end)]
    if len(rows) < take:
        raise Cut(sure)
    return len(sure) == take


def _enough(wanted: int, latitude: float) -> int:
    """How many to look at in plane degrees, so that the nearest `wanted` are most probably among them and proven to be:
    the circle in metres is an ellipse in degrees, longer by 1 / cos(latitude)."""
    stretch = min(4.0, 1 / max(0.01, math.cos(math.radians(latitude))))
    return math.ceil(wanted * stretch * 1.2) + 6


async def _seen(
    index: Index,
    leaves: LeafSet,
    place: Place,
    filters: Filters,
    after: Position,
    cells: list[int],
    looked_at: int,
    wanted: int,
    most: int | None,
) -> list[Row]:
    box = place.box
    statement, more = spliced("catalog_nearest_seen", filters.predicate)
    return await index.read(
        leaves,
        statement,
        cells,
        box.west,
        box.south,
        box.east,
        box.north,
        *place.centre,
        looked_at,
        wanted,
        after.distance_m,
        after.id,
        filters.interval.start,
        filters.interval.end,
        filters.sequences,
        place.ewkb,
        most,
        *more,
    )


async def _holds_more(index: Index, leaves: LeafSet, box: Box, most: int) -> bool:
    """Whether a box may have pictures besides the `most` that were looked at."""
    ends, enough = (box.west, box.south, box.east, box.north), math.ceil(most * _SURE)
    rows = await index.read(leaves, query("catalog_holds"), leaves.covering(box), *ends, enough)
    return bool(rows and rows[0]["n"] >= enough)


async def _end_deg(index: Index, leaves: LeafSet, place: Place, most: int) -> float | None:
    """How far, in plane degrees, the nearest `most` of a place surely reach."""
    box = place.box
    ends = (box.west, box.south, box.east, box.north)
    statement = query("catalog_nearest_end")
    rows = await index.read(leaves, statement, leaves.covering(box), *ends, *place.centre, math.ceil(most * _SURE))
    return rows[0]["degrees"] if rows else None


async def _bound_m(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, wanted: int, most: int | None
) -> float | None:
    """A distance within which there are at least `wanted`; None when the whole place has fewer."""
    distances: list[float] = []
    cut = False
    statement, more = spliced("catalog_nearest_reach", filters.predicate)
    for part in place.box.parts():
        longitude, latitude = place.centre
        if place.box.crosses:
            # the plane is cut at the antimeridian: each part is seen from the centre's side that continues it
            middle = (part.west + part.east) / 2
            longitude += 360 * round((middle - longitude) / 360)
        rows = await index.read(
            leaves,
            statement,
            leaves.covering(part),
            part.west,
            part.south,
            part.east,
            part.north,
            longitude,
            latitude,
            wanted + _SAMPLE,
            filters.interval.start,
            filters.interval.end,
            filters.sequences,
            place.ewkb,
            most,
            *more,
        )
        distances.extend(row["distance"] for row in rows)
        if most is not None and len(rows) < wanted + _SAMPLE:
            cut = cut or await _holds_more(index, leaves, part, most)
    if cut and len(distances) < wanted:
        raise Cut([])
    return sorted(distances)[wanted - 1] if len(distances) >= wanted else None


async def read_within(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, after: Position, boxes: list[Box], take: int
) -> list[Row]:
    """The next `take` by nearness in these boxes, which hold all that can be among them."""
    cells = sorted({cell for box in boxes for cell in leaves.covering(box)})
    statement, more = spliced("catalog_nearest_within", filters.predicate)
    if filters.predicate is None:
        statement = statement.replace("/* fence */", "OFFSET 0")
    rows = await index.read(
        leaves,
        statement,
        cells,
        [box.west for box in boxes],
        [box.south for box in boxes],
        [box.east for box in boxes],
        [box.north for box in boxes],
        take,
        *place.centre,
        after.distance_m,
        after.id,
        filters.interval.start,
        filters.interval.end,
        filters.sequences,
        place.ewkb,
        *more,
    )
    return sorted(rows, key=lambda row: (row["distance"], row["id"]))


async def count_within(index: Index, leaves: LeafSet, place: Place, filters: Filters, boxes: list[Box]) -> int:
    """How many pictures there are in these boxes."""
    cells = sorted({cell for box in boxes for cell in leaves.covering(box)})
    statement, more = spliced("catalog_count_within", filters.predicate)
    rows = await index.read(
        leaves,
        statement,
        cells,
        [box.west for box in boxes],
        [box.south for box in boxes],
        [box.east for box in boxes],
        [box.north for box in boxes],
        filters.interval.start,
        filters.interval.end,
        filters.sequences,
        place.ewkb,
        *more,
    )
    return int(rows[0]["n"]) if rows else 0


async def _others(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, after: Position, take: int
) -> list[Row]:
    """What is not among the nearest, by sequence, rank and id."""
    parts = place.box.parts()
    first, second = parts[0], parts[1] if len(parts) > 1 else None
    statement, more = spliced("catalog_after_nearest", filters.predicate)
    return await index.read(
        leaves,
        statement,
        leaves.covering(place.box),
        first.west,
        first.south,
        first.east,
        first.north,
        take,
        after.distance_m,
        after.id,
        *place.centre,
        after.sequence,
        after.rank,
        after.last_id,
        filters.interval.start,
        filters.interval.end,
        second and second.west,
        second and second.east,
        filters.sequences,
        place.ewkb,
        *more,
    )
