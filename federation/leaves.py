"""The set of leaves as one process knows it: the leaf of a point, the leaves a geometry may touch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from federation.cells import Box, parent, resolution_of
from federation.database import Connection, Pool
from federation.queries import query


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafSet:
    """One version of the set. `states` maps cell to "live" or "splitting"; `sides` are the west, south, east and north
    ends of the leaves' boxes, each in the order of `cells`.

    Whoever is hidden belongs to the version: a reader that finds another one reads both anew.
    """

    version: int
    base_resolution: int | None
    states: Mapping[int, str]
    cells: tuple[int, ...]
    sides: npt.NDArray[np.float64]
    #: indexes of the leaves that lie across the antimeridian
    across: npt.NDArray[np.intp]
    resolutions: tuple[int, ...] = field(default=())
    #: numbers of the instances whose pictures are not shown though they are still here
    hidden: tuple[int, ...] = field(default=())

    @staticmethod
    def make(
        version: int,
        states: Mapping[int, str],
        boxes: Iterable[Box],
        *,
        base_resolution: int | None = None,
        hidden: Sequence[int] = (),
    ) -> LeafSet:
        """A set from its leaves and their boxes, in the same order."""
        ends = [(box.west, box.south, box.east, box.north) for box in boxes]
        sides = np.ascontiguousarray(np.array(ends, dtype=np.float64).reshape(-1, 4).T)
        return LeafSet(
            version=version,
            base_resolution=base_resolution,
            states=MappingProxyType(dict(states)),
            cells=tuple(states),
            sides=sides,
            across=np.flatnonzero(sides[0] > sides[2]),
            resolutions=tuple(sorted({resolution_of(cell) for cell in states})),
            hidden=tuple(hidden),
        )

    def leaf_of(self, finest_cell: int) -> int | None:
        """Where a picture with this finest cell is written: its first ancestor in the set that is not splitting."""
        for resolution in self.resolutions:
            cell = parent(finest_cell, resolution)
            if self.states.get(cell) == "live":
                return cell
        return None

    def covering(self, box: Box) -> list[int]:
        """Every leaf that may hold a point of the box, parents that are splitting included."""
        if not self.cells:
            return []
        first, *others = box.parts()
        hit = self._meets(first)
        for part in others:
            hit |= self._meets(part)
        return [self.cells[index] for index in hit.nonzero()[0]]

    def _meets(self, box: Box) -> npt.NDArray[np.bool_]:
        west, south, east, north = self.sides
        meets: npt.NDArray[np.bool_] = (west <= box.east) & (east >= box.west)
        if self.across.size:
            meets[self.across] = (west[self.across] <= box.east) | (east[self.across] >= box.west)
        meets &= (south <= box.north) & (north >= box.south)
        return meets

    def standing_for(self, cells: Iterable[int]) -> list[int]:
        """Leaves that hold now what these cells held when they were leaves: themselves, or what they split into."""
        found: set[int] = set()
        for cell in cells:
            resolution = resolution_of(cell)
            if cell in self.states:
                found.add(cell)
            if self.states.get(cell) != "live":
                found.update(
                    leaf for leaf in self.cells if resolution_of(leaf) > resolution and parent(leaf, resolution) == cell
                )
        return sorted(found)


async def load_leaves(connection: Connection | Pool) -> LeafSet:
    """Read the set; one statement, so one snapshot."""
    rows = await connection.fetch(query("read_leaves"))
    head = rows[0]
    leaves = [row for row in rows if row["cell"] is not None]
    return LeafSet.make(
        head["version"],
        {row["cell"]: row["state"] for row in leaves},
        (Box(row["west"], row["south"], row["east"], row["north"]) for row in leaves),
        base_resolution=head["base_resolution"],
        hidden=head["hidden"],
    )
