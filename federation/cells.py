"""H3: the cell of a point, the ancestors of a cell, and boxes that surely hold a leaf. Only this file imports h3."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import h3.api.basic_int as h3

#: Resolution of the `h3` column: every coarser count and every leaf is an ancestor of it.
FINEST = 11
#: Resolutions that are counted and drawn, z0 to z14 of the v2 tiles.
COUNTED = range(3, FINEST + 1)
#: Columns of the 0.1 degree lattice of the v1 tiles.
LATTICE_COLUMNS = 3600

#: How many levels below a leaf its box is measured, and the margin for the levels below that.
_BOX_LEVELS = 3
_RESOLUTION_BITS = 15 << 52
#: Degrees around the middle of a cell of each resolution in which all its descendants lie, with corners and all: the
#: largest cell's edge is 1.3 times the average one, and descendants stick out by a tenth.
_CIRCLES = tuple(
    math.degrees(1.7 * h3.average_hexagon_edge_length(resolution, unit="km") / 6371.0) for resolution in range(16)
)


@dataclass(frozen=True, slots=True)
class Box:
    """Degrees; west > east where the box crosses the antimeridian."""

    west: float
    south: float
    east: float
    north: float

    @property
    def crosses(self) -> bool:
        """Whether it lies across the antimeridian."""
        return self.west > self.east

    def parts(self) -> tuple[Box, ...]:
        """One box, or the two on either side of the antimeridian.

        >>> Box(170, -20, -170, -10).parts()
        (Box(west=170, south=-20, east=180.0, north=-10), Box(west=-180.0, south=-20, east=-170, north=-10))
        """
        if not self.crosses:
            return (self,)
        return (Box(self.west, self.south, 180.0, self.north), Box(-180.0, self.south, self.east, self.north))

    def span_deg(self) -> float:
        """The longer of height and width, the width as it is on the ground: meridians meet at the poles.

        >>> Box(170, -20, -170, 0).span_deg(), Box(-180, 89.5, 180, 90).span_deg() < 4
        (20.0, True)
        """
        nearest = 0.0 if self.south <= 0 <= self.north else min(abs(self.south), abs(self.north))
        width = (self.east - self.west) % 360 if self.crosses else self.east - self.west
        return max(width * math.cos(math.radians(nearest)), self.north - self.south)

    def centre(self) -> tuple[float, float]:
        """(longitude, latitude) of the middle.

        >>> Box(170, -20, -170, -10).centre()
        (180.0, -15.0)
        """
        width = (self.east - self.west) % 360 if self.crosses else self.east - self.west
        longitude = self.west + width / 2
        return (longitude if longitude <= 180 else longitude - 360, (self.south + self.north) / 2)


WORLD = Box(-180.0, -90.0, 180.0, 90.0)


def cell_of(longitude: float, latitude: float) -> int:
    """The finest cell of a point, as the signed 64-bit number PostgreSQL stores.

    >>> hex(cell_of(2.3488, 48.8534))
    '0x8b1fb466258bfff'
    """
    cell: int = h3.latlng_to_cell(latitude, longitude, FINEST)
    return cell


def parent(cell: int, resolution: int) -> int:
    """The ancestor of a cell, by its bits: the same rule as h3_parent() in SQL.

    >>> hex(parent(0x8b1fb466258bfff, 3))
    '0x831fb4fffffffff'
    """
    return (cell & ~_RESOLUTION_BITS) | (resolution << 52) | ((1 << ((15 - resolution) * 3)) - 1)


def resolution_of(cell: int) -> int:
    """0 (base cells) to 15.

    >>> resolution_of(0x831fb4fffffffff)
    3
    """
    return (cell >> 52) & 15


def children(cell: int) -> list[int]:
    """The cells one resolution finer: seven, or six of a pentagon."""
    return list(h3.cell_to_children(cell, resolution_of(cell) + 1))


def around(cell: int) -> list[int]:
    """The cell and its neighbours. At the finest resolution they hold all points within 15 m of it."""
    return list(h3.grid_disk(cell, 1))


def cell_name(cell: int) -> str:
    """Hexadecimal, as everybody writes H3 indexes and as leaf tables are named.

    >>> cell_name(0x831fb4fffffffff)
    '831fb4fffffffff'
    """
    return format(cell, "x")


def lattice_of(longitude: float, latitude: float) -> int:
    """Number of the 0.1 degree lattice square: row * 3600 + column, from the south-west corner of the world.

    >>> lattice_of(-180.0, -90.0), lattice_of(180.0, 90.0), lattice_of(2.35, 48.85)
    (0, 6479999, 4998623)
    """
    column = min(LATTICE_COLUMNS - 1, math.floor((longitude + 180) * 10))
    row = min(1799, math.floor((latitude + 90) * 10))
    return row * LATTICE_COLUMNS + column


def lattice_box(number: int) -> Box:
    """The 0.1 degree square of that number.

    >>> lattice_box(0)
    Box(west=-180.0, south=-90.0, east=-179.9, north=-89.9)
    """
    row, column = divmod(number, LATTICE_COLUMNS)
    return Box(column / 10 - 180, row / 10 - 90, (column + 1) / 10 - 180, (row + 1) / 10 - 90)


def outline(cell: int) -> tuple[tuple[float, float], ...]:
    """The corners of a cell as (latitude, longitude): six, or five, or more on an edge of the icosahedron.

    >>> len(outline(0x831fb4fffffffff))
    6
    """
    return tuple(h3.cell_to_boundary(cell))


def middle(cell: int) -> tuple[float, float]:
    """(latitude, longitude) of a cell's centre."""
    latitude, longitude = h3.cell_to_latlng(cell)
    return latitude, longitude


def base_cells() -> list[int]:
    """The 122 cells of resolution 0, in ascending order."""
    return sorted(h3.get_res0_cells())


def spans_meeting(box: Box, resolution: int, ancestors: int) -> list[tuple[int, int]]:
    """The cells of `resolution` that may meet a box that does not cross the antimeridian, as spans of their numbers.

    Each span is what descends from one cell of the resolution `ancestors`. There are cells in them that do not meet the
    box; none that does is left out.
    """
    kept = [cell for cell in h3.get_res0_cells() if _may_meet(cell, 0, box)]
    for level in range(1, ancestors + 1):
        kept = [child for cell in kept for child in h3.cell_to_children(cell, level) if _may_meet(child, level, box)]
    return [span_of(cell, resolution) for cell in sorted(kept)]


def span_of(cell: int, resolution: int) -> tuple[int, int]:
    """The least and the greatest number that a descendant of a resolution can have: digits of place are 0 to 6.

    >>> first, last = span_of(0x831fb4fffffffff, 5)
    >>> hex(first), hex(last), all(first <= child <= last for child in h3.cell_to_children(0x831fb4fffffffff, 5))
    ('0x851fb403fffffff', '0x851fb4dbfffffff', True)
    """
    first = last = parent(cell, resolution)
    for level in range(resolution_of(cell) + 1, resolution + 1):
        shift = (15 - level) * 3
        first &= ~(7 << shift)
        last = (last & ~(7 << shift)) | (6 << shift)
    return first, last


def _may_meet(cell: int, resolution: int, box: Box) -> bool:
    """Whether a circle around all descendants of a cell comes near a box."""
    latitude, longitude = h3.cell_to_latlng(cell)
    radius = _CIRCLES[resolution]
    if latitude + radius < box.south or latitude - radius > box.north:
        return False
    if abs(latitude) + radius >= 90.0:
        return True
    reach = math.degrees(math.asin(math.sin(math.radians(radius)) / math.cos(math.radians(latitude))))
    beyond = min((longitude - box.east) % 360, (box.west - longitude) % 360)
    return bool(box.west <= longitude <= box.east or beyond <= reach)


def cell_box(cell: int) -> Box:
    """A box that holds every point whose finest cell descends from `cell`.

    Descendants stick out of their ancestor's outline (H3 is not nested exactly), so the outline of the descendants
    three levels down is taken, and a margin of their own edge for the levels below: what sticks out
    shrinks by 2.6 a level.
    """
    finest = min(FINEST, resolution_of(cell) + _BOX_LEVELS)
    margin_deg = math.degrees(h3.average_hexagon_edge_length(finest, unit="km") / 6371.0)
    outline = [point for each in h3.cell_to_children(cell, finest) for point in h3.cell_to_boundary(each)]
    south = min(latitude for latitude, _ in outline) - margin_deg
    north = max(latitude for latitude, _ in outline) + margin_deg
    pole = any(
        parent(h3.latlng_to_cell(latitude, 0.0, FINEST), resolution_of(cell)) == cell for latitude in (-90.0, 90.0)
    )
    if pole or south <= -89.0 or north >= 89.0:
        return Box(-180.0, -90.0 if south < 0 else south, 180.0, 90.0 if north > 0 else north)
    widest = math.cos(math.radians(max(abs(south), abs(north))))
    return _box_around(cell, (longitude for _, longitude in outline), south, north, margin_deg / widest)


def _box_around(cell: int, longitudes: Iterable[float], south: float, north: float, margin_deg: float) -> Box:
    middle = h3.cell_to_latlng(cell)[1]
    offsets = [(longitude - middle + 540) % 360 - 180 for longitude in longitudes]
    west, east = middle + min(offsets) - margin_deg, middle + max(offsets) + margin_deg
    if east - west >= 360:
        return Box(-180.0, south, 180.0, north)
    return Box(west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north)
