"""H3 hexagons on tiles: the resolution of a zoom, which hexagons may meet a tile, and their corners in Web Mercator."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from catalog_api.tiles.address import EXTENT, Tile
from catalog_api.tiles.mercator import across, down
from federation.cells import FINEST, outline, spans_meeting

#: Corners of a hexagon that lies across an edge of the icosahedron; most have six.
_CORNERS_MAX = 10
#: Corners are kept in memory up to this resolution: only there are there tiles with thousands of hexagons. A cell takes
#: 180 bytes.
_KEPT_RESOLUTION = 7
_KEPT_MAX = 150_000
#: Spans of cells are those of ancestors so many resolutions above: a tile is some hundred of them.
_LEVELS_ABOVE = 3

Numbers = npt.NDArray[np.int64]
Places = npt.NDArray[np.float64]


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
    """Of many cells: `x` and `y` from 0 to 1 over the world (x beyond where a cell lies across the antimeridian)."""

    x: Places
    y: Places
    count: Numbers

    def pick(self, which: npt.NDArray[np.int64] | npt.NDArray[np.bool_]) -> Corners:
        """Of these cells only."""
        return Corners(self.x[which], self.y[which], self.count[which])

    def on(self, tile: Tile) -> tuple[Numbers, Numbers, Numbers, npt.NDArray[np.bool_]]:
        """Corners in units of a tile, how many each cell has, and which cells meet it. None is without an area."""
        x, y = self.x * tile.units - tile.x * EXTENT, self.y * tile.units - tile.y * EXTENT
        # across the antimeridian, a cell is seen from both sides
        x += np.where(x.max(axis=1) <= 0, tile.units, 0)[:, None]
        x -= np.where(x.min(axis=1) >= EXTENT, tile.units, 0)[:, None]
        met = (x.max(axis=1) > 0) & (x.min(axis=1) < EXTENT)
        north, south = y.min(axis=1), y.max(axis=1)
        # beyond the edge of the projection a cell has no height: it is seen at the edge
        top, bottom = tile.y == 0, tile.y == (1 << tile.z) - 1
        met &= (south > 0) | (top & (south >= 0))
        met &= (north < EXTENT) | (bottom & (north <= EXTENT))
        units_x, units_y, count = np.rint(x).astype(np.int64), np.rint(y).astype(np.int64), self.count.copy()
        _thicken(units_x, units_y, count)
        return units_x, units_y, count, met


def _thicken(x: Numbers, y: Numbers, count: Numbers) -> None:
    """Rings without an area become a square of one unit."""
    area = (x * np.roll(y, -1, axis=1) - np.roll(x, -1, axis=1) * y).sum(axis=1)
    flat = np.flatnonzero(area == 0)
    if len(flat):
        left, top = x[flat].min(axis=1), y[flat].min(axis=1)
        x[flat] = left[:, None] + np.array([0, 1, 1] + [0] * (_CORNERS_MAX - 3))
        y[flat] = top[:, None] + np.array([0, 0] + [1] * (_CORNERS_MAX - 2))
        count[flat] = 4


@dataclass(slots=True)
class Outlines:
    """Corners of cells, computed once where tiles need them by the thousand."""

    _cells: Numbers = field(default_factory=lambda: np.empty(0, np.int64))
    _corners: Corners = field(default_factory=lambda: _corners_of(np.empty(0, np.int64)))

    def of(self, cells: Numbers, resolution: int) -> Corners:
        """The corners of these cells, which are in ascending order."""
        if resolution > _KEPT_RESOLUTION or not len(cells):
            return _corners_of(cells)
        places = np.minimum(np.searchsorted(self._cells, cells), max(0, len(self._cells) - 1))
        known = self._cells[places] == cells if len(self._cells) else np.zeros(len(cells), bool)
        if not known.all():
            self._learn(cells[~known])
            if len(self._cells) > _KEPT_MAX:
                self._cells, self._corners = np.empty(0, np.int64), _corners_of(np.empty(0, np.int64))
                self._learn(cells)
            places = np.searchsorted(self._cells, cells)
        return self._corners.pick(places)

    def _learn(self, cells: Numbers) -> None:
        new = _corners_of(cells)
        together = np.concatenate([self._cells, cells])
        order = np.argsort(together)
        self._cells = together[order]
        old = self._corners
        self._corners = Corners(
            np.concatenate([old.x, new.x])[order],
            np.concatenate([old.y, new.y])[order],
            np.concatenate([old.count, new.count])[order],
        )


def _corners_of(cells: Numbers) -> Corners:
    outlines = [outline(cell) for cell in cells.tolist()]
    count = np.array([len(each) for each in outlines], np.int64)
    padded = [each if len(each) == _CORNERS_MAX else each + each[-1:] * (_CORNERS_MAX - len(each)) for each in outlines]
    degrees = np.array(padded, np.float64).reshape(-1, _CORNERS_MAX, 2)
    # H3 goes counterclockwise as seen from above: clockwise is the other way around
    last = np.maximum(count - 1, 0)[:, None] - np.arange(_CORNERS_MAX)
    degrees = np.take_along_axis(degrees, np.maximum(last, 0)[:, :, None], axis=1)
    x, y = across(degrees[:, :, 1]), down(degrees[:, :, 0])
    x, around = _unwrapped(x)
    for cell in np.flatnonzero(around):
        _cover_pole(x[cell], y[cell])
        count[cell] = 4
    return Corners(x, y, count)


def _unwrapped(x: Places) -> tuple[Places, npt.NDArray[np.bool_]]:
    """Corners without jumps of a whole world between neighbours; and which rings go around a pole."""
    steps = np.diff(x, axis=1, append=x[:, :1])
    steps -= np.rint(steps)
    closed = np.rint(steps.sum(axis=1)) == 0
    smooth = x[:, :1] + np.concatenate([np.zeros((len(x), 1)), np.cumsum(steps[:, :-1], axis=1)], axis=1)
    return smooth, ~closed


def _cover_pole(x: Places, y: Places) -> None:
    """A cell that a pole is in: from its corners to the edge, all around the world."""
    top, bottom = (0.0, float(y.max())) if y[0] < 0.5 else (float(y.min()), 1.0)
    x[:] = [0.0, 1.0, 1.0] + [0.0] * (_CORNERS_MAX - 3)
    y[:] = [top, top] + [bottom] * (_CORNERS_MAX - 2)
