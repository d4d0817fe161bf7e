"""Which tiles of a zoom may have something in them: from the finest hexagons with pictures, without making a tile."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from catalog_api.index.index import Source
from catalog_api.tiles.address import ZOOM_MAX, Tile
from catalog_api.tiles.counts import populated
from catalog_api.tiles.mercator import across, down
from federation.cells import FINEST, base_cells, middle, span_of

#: What belongs to a picture reaches into neighbouring tiles by so much of a tile's side at the equator: the hexagon
#: that it is in, the line to the next picture.
_REACH = 0.1

Numbers = npt.NDArray[np.int64]


async def covered_tiles(source: Source) -> dict[int, list[Tile]]:
    """By zoom, all tiles that may not be empty, and few that are."""
    places = [np.array([middle(cell) for cell in cells]) for cells in await _cells(source) if cells]
    if not places:
        return {}
    together = np.concatenate(places)
    x, y = across(together[:, 1]), down(together[:, 0])
    reach = _REACH / np.cos(np.radians(np.clip(together[:, 0], -85.1, 85.1)))
    return {z: _tiles(z, x, y, np.minimum(reach, 1.0)) for z in range(ZOOM_MAX + 1)}


async def _cells(source: Source) -> Iterable[list[int]]:
    return [await populated(source, span_of(base, FINEST)) for base in base_cells()]


def _tiles(
    z: int, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], reach: npt.NDArray[np.float64]
) -> list[Tile]:
    side = 1 << z
    numbers = []
    for shift_x in (-1, 0, 1):
        column = np.floor(x * side + shift_x * reach).astype(np.int64) % side
        for shift_y in (-1, 0, 1):
            row = np.floor(y * side + shift_y * reach).clip(0, side - 1).astype(np.int64)
            numbers.append(np.unique(column * side + row))
    return [Tile(z, *divmod(number, side)) for number in np.unique(np.concatenate(numbers)).tolist()]
