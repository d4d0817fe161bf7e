"""The nearest pictures without filters, each leaf read by its own kept plan, from as few leaves as surely hold them."""

from __future__ import annotations

import bisect
import math
from dataclasses import replace

from catalog_api.index.index import Index
from catalog_api.query.places import FAR_M, Place
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: Up to so many leaves around the centre are looked through one by one, at first and at last.
_TRIES = (4, 16)
#: How far they may reach: from a block to as far as one box follows the shape of what lies within a distance.
_REACHES_M = [200.0 * 1.5**step for step in range(18) if 200.0 * 1.5**step <= FAR_M]


def is_proven(looked: list[Row], farthest_m: float, place: Place, looked_at: int) -> bool:
    """Whether no picture that was not seen can be nearer than `farthest_m`; leaves may have been looked at apart."""
    reaches = {row["reach"] for row in looked if row["seen"] >= looked_at}
    return all(place.proves(farthest_m, reach) for reach in reaches)


async def first_nearest(
    index: Index, leaves: LeafSet, place: Place, looked_at: int, wanted: int
) -> tuple[list[Row], bool]:
    """Up to `wanted` near ones in order, and whether they are surely the nearest: all there are, if they are fewer."""
    cells = leaves.covering(place.box)
    for most in _TRIES:
        reach_m, near = (math.inf, place) if len(cells) <= most else _reach(leaves, place, most)
        if near is None:
            continue
        looked = await _ask(index, leaves, near, leaves.covering(near.box), looked_at, wanted)
        rows = sorted(looked, key=lambda row: (row["distance"], row["id"]))[:wanted]
        whole = len(rows) == wanted or near is place
        farthest_m = rows[-1]["distance"] if rows else 0.0
        if whole:
            return rows, farthest_m < reach_m and is_proven(looked, farthest_m, near, looked_at)
    return [], False


async def _ask(index: Index, leaves: LeafSet, place: Place, cells: list[int], looked_at: int, wanted: int) -> list[Row]:
    """Of these leaves the nearest `wanted` of the first `looked_at` in plane degrees, and maybe more, in no order."""
    box = place.box
    ends = (box.west, box.south, box.east, box.north)
    # of many leaves most of what is found is not wanted, and reading it here costs more than sorting it there
    name = "catalog_nearest_first" if len(cells) <= _TRIES[0] else "catalog_nearest_first_of_many"
    return await index.ask(query(name), cells, leaves.version, *ends, *place.centre, looked_at, wanted)


def _reach(leaves: LeafSet, place: Place, most: int) -> tuple[float, Place | None]:
    """How far one may go from the centre, and meet no more than `most` leaves; and the part of the place that is."""

    def met(distance_m: float) -> int:
        boxes = place.within(distance_m)
        return len(leaves.covering(boxes[0])) if len(boxes) == 1 else most + 1

    steps = bisect.bisect_right(_REACHES_M, most, key=met)
    if not steps:
        return 0.0, None
    reach_m = _REACHES_M[steps - 1]
    return reach_m, replace(place, box=place.within(reach_m)[0])
