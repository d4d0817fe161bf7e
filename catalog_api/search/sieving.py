"""Where many pictures are wanted, or a filter lets few through: all around the centre is read, farther each time.

The spatial index gives pictures by distance at ten times the cost of a box: worth it for a few of them, not for
thousands.
"""

from __future__ import annotations

import math

from catalog_api.index.index import Index
from catalog_api.query.places import Place
from catalog_api.search.nearness import Filters, Position, count_within, read_within
from federation.cells import Box, lattice_of
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: Of larger places the counts by squares are too many to be summed for one search.
_SPAN_MAX_DEG = 3.0
#: How many pictures are read first for each that is wanted: with a filter, with one that an index helps, and without;
#: and what part of the missing ones is read in addition then.
_FIRST, _FIRST_INDEXED, _FIRST_OF_ALL, _SPARE = 20, 200, 1.5, 1.5
#: Towns are denser in their middle: how dense is seen by counting within this part of the way.
_PROBED = 0.5
#: How much larger the area becomes with each step, at least and at most.
_GROWTH_MIN, _GROWTH_MAX = 4.0, 32.0
#: From so much of the way to the farthest corner on, all is read at once.
_NEARLY = 0.6
_METRES_PER_DEG = 111_320.0


async def sieve(
    index: Index, place: Place, filters: Filters, after: Position, wanted: int, *, most: int
) -> list[Row] | None:
    """The next `wanted` by nearness, or all there are; None where the place is too large to be read.

    `most` is how many pictures may be read.
    """
    if place.box.crosses or place.box.span_deg() > _SPAN_MAX_DEG:
        return None
    stored = await _stored(index, place.box)
    if stored > most:
        return None

    async def work(leaves: LeafSet) -> list[Row]:
        whole_m, area_m2 = _measures(place)
        reach_m = math.sqrt(wanted / max(1, stored) * area_m2 / math.pi)
        if filters.predicate is None:
            reach_m = await _reach_of_all(index, leaves, place, filters, reach_m, wanted)
        else:
            reach_m *= math.sqrt(_FIRST_INDEXED if filters.predicate.indexed else _FIRST)
        while True:
            reach_m = max(reach_m, 1.2 * after.distance_m)
            if reach_m >= _NEARLY * whole_m:
                return await read_within(index, leaves, place, filters, after, list(place.box.parts()), wanted)
            rows = await read_within(index, leaves, place, filters, after, place.within(reach_m), wanted)
            sure = [row for row in rows if row["distance"] <= reach_m]
            if len(sure) == wanted:
                return sure
            growth = _SPARE * wanted / max(0.5, len(sure))
            reach_m *= math.sqrt(max(_GROWTH_MIN, min(_GROWTH_MAX, growth)))

    return await index.repeat(work)


async def _reach_of_all(
    index: Index, leaves: LeafSet, place: Place, filters: Filters, reach_m: float, wanted: int
) -> float:
    """How far the next `wanted` reach, roughly, by what is there on a part of the way."""
    probed_m = _PROBED * reach_m
    counted = await count_within(index, leaves, place, filters, place.within(probed_m))
    if counted == 0:
        return reach_m
    return probed_m * math.sqrt(_FIRST_OF_ALL * wanted / counted)


def _measures(place: Place) -> tuple[float, float]:
    """How far from the centre the place reaches, in metres and rather too far, and the area of its box, roughly."""
    box, (longitude, latitude) = place.box, place.centre
    narrowest = min(abs(box.south), abs(box.north), abs(latitude))
    width_m = _METRES_PER_DEG * math.cos(math.radians(narrowest))
    east_m = max(box.east - longitude, longitude - box.west) * width_m
    north_m = max(box.north - latitude, latitude - box.south) * _METRES_PER_DEG
    area_m2 = (box.east - box.west) * width_m * (box.north - box.south) * _METRES_PER_DEG
    return 1.01 * math.hypot(east_m, north_m), area_m2


async def _stored(index: Index, box: Box) -> int:
    """About how many pictures a box has: those of the squares it touches, each by the part of it that is inside."""
    first, last = lattice_of(box.west, box.south), lattice_of(box.east, box.north)
    spans = [(row + first % 3600, row + last % 3600) for row in range(first // 3600 * 3600, last + 1, 3600)]
    rows = await index.fetch(
        query("catalog_squares"), [west for west, _ in spans], [east for _, east in spans], box.west, box.south,
        box.east, box.north,
    )  # fmt: skip
    return int(rows[0]["pictures"])
