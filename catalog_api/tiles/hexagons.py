"""H3 hexagons on tiles: the resolution of a zoom, which hexagons may meet a tile, and their corners in Web Mercator."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from catalog_api.index.index import Source
from catalog_api.index.stats_figures import cells_of_resolution
from catalog_api.tiles.address import EXTENT, Tile
from catalog_api.tiles.counts import populated
from catalog_api.tiles.mercator import across, down
from federation.cells import COUNTED, FINEST, outline, spans_meeting

#: Corners of a hexagon that lies across an edge of the icosahedron; most have six.
_CORNERS_MAX = 10
_USUAL = 6
#: Corners are kept in memory up to this resolution: only there are there tiles with thousands of hexagons. A cell takes
#: 100 bytes, and 2 microseconds to compute.
_KEPT_RESOLUTION = 7
_KEPT_MAX = 400_000
_LEARNT_AT_ONCE = 4_000
#: Spans of cells are those of ancestors so many resolutions above: a tile is some hundred of them.
_LEVELS_ABOVE = 3

Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.floating[Any]]


def resolution_of_zoom(z: int) -> int:
    """From 3 at zoom 0 to 7 at zoom 6 and 11 at zoom 14: a hexagon is never smaller than a pixel.

    >>> [resolution_of_zoom(z) for z in range(16)]
    [3, 3, 4, 5, 5, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11]
    """
    return 3 + z * 4 // 6 if z <= 6 else min(FINEST, 7 + (z - 6) // 2)


@lru_cache(maxsize=4_096)
def spans(tile: Tile) -> tuple[Numbers, Numbers]:
    """The first and last numbers of the cells that may meet a tile."""
    resolution = resolution_of_zoom(tile.z)
    found = np.array(spans_meeting(tile.box(), resolution, max(0, resolution - _LEVELS_ABOVE)), np.int64)
    return found[:, 0], found[:, 1]


@dataclass(frozen=True, slots=True)
class Corners:
    """Of many cells: `x` and `y` from 0 to 1 over the world (x beyond where a cell lies across the antimeridian).

    A row for each corner, the first of every cell first; a cell that has fewer ends with its last one several times.
    """

    x: Places
    y: Places
    count: Numbers

    def pick(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Corners:
        """Of these cells only."""
        return Corners(self.x[:, which], self.y[:, which], self.count[which])

    def on(self, tile: Tile) -> tuple[Numbers, Numbers, Numbers, npt.NDArray[np.bool_]]:
        """Corners in units of a tile, how many each cell has, and which cells meet it. None is without an area."""
        # nearly all have six corners: the others' empty places are not looked at where there are no others
        most = max(_USUAL, int(self.count.max(initial=0)))
        x = self.x[:most].astype(np.float64) * tile.units - tile.x * EXTENT
        y = self.y[:most].astype(np.float64) * tile.units - tile.y * EXTENT
        west, east, north, south = x.min(axis=0), x.max(axis=0), y.min(axis=0), y.max(axis=0)
        # across the antimeridian, a cell is seen from both sides
        around = np.where(east <= 0, tile.units, 0) - np.where(west >= EXTENT, tile.units, 0)
        if around.any():
            x, west, east = x + around, west + around, east + around
        met = (east > 0) & (west < EXTENT)
        # beyond the edge of the projection a cell has no height: it is seen at the edge
        top, bottom = tile.y == 0, tile.y == (1 << tile.z) - 1
        met &= (south > 0) | (top & (south >= 0))
        met &= (north < EXTENT) | (bottom & (north <= EXTENT))
        units_x, units_y, count = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64), self.count.copy()
        _thicken(units_x, units_y, count)
        return units_x, units_y, count, met


def _thicken(x: Numbers, y: Numbers, count: Numbers) -> None:
    """Rings without an area become a square of one unit."""
    area = (x * np.roll(y, -1, axis=0) - np.roll(x, -1, axis=0) * y).sum(axis=0)
    flat = np.flatnonzero(area == 0)
    if len(flat):
        left, top = x[:, flat].min(axis=0), y[:, flat].min(axis=0)
        x[:, flat] = left + np.array([0, 1, 1] + [0] * (len(x) - 3))[:, None]
        y[:, flat] = top + np.array([0, 0] + [1] * (len(x) - 2))[:, None]
        count[flat] = 4


@dataclass(frozen=True, slots=True)
class _Shelf:
    """Cells of one resolution, in ascending order, with their corners. Never changed: threads read it."""

    cells: Numbers
    corners: Corners

    def places(self, cells: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        """Where each stands, and whether it is there at all."""
        if not len(self.cells):
            return np.zeros(len(cells), np.int64), np.zeros(len(cells), bool)
        places = np.minimum(np.searchsorted(self.cells, cells), len(self.cells) - 1)
        return places, self.cells[places] == cells

    def with_more(self, cells: Numbers, new: Corners) -> _Shelf:
        """One that has these cells too."""
        _, known = self.places(cells)
        if known.all():
            return self
        together, new = np.concatenate([self.cells, cells[~known]]), new.pick(~known)
        order, old = np.argsort(together), self.corners
        # half the bytes: it is a fortieth of a unit at zoom 7
        corners = Corners(
            np.concatenate([old.x, new.x], axis=1, dtype=np.float32)[:, order],
            np.concatenate([old.y, new.y], axis=1, dtype=np.float32)[:, order],
            np.concatenate([old.count, new.count])[order],
        )
        return _Shelf(together[order], corners)


@dataclass(slots=True)
class Outlines:
    """Corners of cells, computed once where tiles need them by the thousand. Threads may share one."""

    _shelves: dict[int, _Shelf] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, cells: Numbers, resolution: int) -> Corners:
        """The corners of these cells, which are in ascending order."""
        if resolution > _KEPT_RESOLUTION or not len(cells):
            return _corners_of(cells)
        shelf = self._shelf(resolution)
        places, known = shelf.places(cells)
        if not known.all():
            shelf = self._keep(cells[~known], _corners_of(cells[~known]), resolution)
            places, known = shelf.places(cells)
        return shelf.corners.pick(places) if known.all() else _corners_of(cells)

    async def learn(self, source: Source) -> None:
        """Compute the corners of all cells with pictures, a little at a time: so that no tile waits for it."""
        for resolution in range(COUNTED.start, _KEPT_RESOLUTION + 1):
            cells = np.array(await populated(source, cells_of_resolution(resolution)), np.int64)
            for start in range(0, len(cells), _LEARNT_AT_ONCE):
                some = cells[start : start + _LEARNT_AT_ONCE]
                self._keep(some, await asyncio.to_thread(_corners_of, some), resolution)

    def _shelf(self, resolution: int) -> _Shelf:
        return self._shelves.get(resolution, _EMPTY)

    def _keep(self, cells: Numbers, corners: Corners, resolution: int) -> _Shelf:
        with self._lock:
            if sum(len(shelf.cells) for shelf in self._shelves.values()) + len(cells) > _KEPT_MAX:
                self._shelves = {}
            if len(cells) <= _KEPT_MAX:
                self._shelves[resolution] = self._shelf(resolution).with_more(cells, corners)
            return self._shelf(resolution)


def _corners_of(cells: Numbers) -> Corners:
    outlines = [outline(cell) for cell in cells.tolist()]
    count = np.fromiter((len(each) for each in outlines), np.int64, len(outlines))
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(outlines)), np.float64, 2 * int(count.sum()))
    # H3 goes counterclockwise as seen from above: clockwise is the other way around. Empty places are the last corner
    which = np.maximum(count - 1 - np.arange(_CORNERS_MAX)[:, None], 0) + (np.cumsum(count) - count)
    degrees = flat.reshape(-1, 2)[which] if len(cells) else np.empty((_CORNERS_MAX, 0, 2))
    y = down(degrees[:, :, 0])
    x, around = _unwrapped(across(degrees[:, :, 1]))
    for cell in np.flatnonzero(around):
        _cover_pole(x[:, cell], y[:, cell])
        count[cell] = 4
    return Corners(x, y, count)


def _unwrapped(x: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Corners without jumps of a whole world between neighbours; and which rings go around a pole."""
    steps = np.diff(x, axis=0, append=x[:1])
    steps -= np.rint(steps)
    closed = np.rint(steps.sum(axis=0)) == 0
    smooth = x[:1] + np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(steps[:-1], axis=0)])
    return smooth, ~closed


def _cover_pole(x: Places, y: Places) -> None:
    """A cell that a pole is in: from its corners to the edge, all around the world."""
    top, bottom = (0.0, float(y.max())) if y[0] < 0.5 else (float(y.min()), 1.0)
    x[:] = [0.0, 1.0, 1.0] + [0.0] * (_CORNERS_MAX - 3)
    y[:] = [top, top] + [bottom] * (_CORNERS_MAX - 2)


_EMPTY = _Shelf(np.empty(0, np.int64), _corners_of(np.empty(0, np.int64)))
