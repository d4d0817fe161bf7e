"""Which tile: zoom, column and row, the numbers its changes are counted under, and the degrees it covers."""

from __future__ import annotations

import math
from dataclasses import dataclass

from federation.cells import Box

#: Units along the side of a tile.
EXTENT = 4096
ZOOM_MAX = 15
#: Changes are counted for tiles up to this zoom, as in tiles_of() of sql/schema/085_tiles.sql.
COUNTED_MAX = 13
#: The edge of the square Web Mercator world, in degrees.
EDGE_DEG = 85.0511287798066


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One tile of the usual scheme: column from the west, row from the north."""

    z: int
    x: int
    y: int

    def keys(self) -> list[int]:
        """The numbers under which changes that touch this tile are counted.

        Its own, and those of "everything below" each tile that it is in.

        >>> Tile(0, 0, 0).keys(), Tile(2, 3, 1).keys()
        ([1], [23, -1, -5])
        """
        own = [_number(self.z, self.x, self.y)] if self.z <= COUNTED_MAX else []
        above = range(min(self.z - 1, COUNTED_MAX) + 1)
        return own + [-_number(z, self.x >> (self.z - z), self.y >> (self.z - z)) for z in above]

    def box(self) -> Box:
        """Degrees that hold every point of the tile: the outermost rows reach to the poles.

        >>> Tile(0, 0, 0).box()
        Box(west=-180.0, south=-90.0, east=180.0, north=90.0)
        """
        side = 1 << self.z
        return Box(
            self.x / side * 360 - 180,
            -90.0 if self.y == side - 1 else latitude_of((self.y + 1) / side),
            (self.x + 1) / side * 360 - 180,
            90.0 if self.y == 0 else latitude_of(self.y / side),
        )

    @property
    def units(self) -> int:
        """Units around the world at this zoom."""
        return EXTENT << self.z


def latitude_of(y: float) -> float:
    """The latitude of a place between the northern edge (0) and the southern (1).

    >>> round(latitude_of(0.0), 4), latitude_of(0.5)
    (85.0511, 0.0)
    """
    return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * y))))


def _number(z: int, x: int, y: int) -> int:
    return (1 << (2 * z)) + (y << z) + x
