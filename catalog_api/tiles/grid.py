"""The layer `grid`: how many pictures are in each lattice square (v1) or hexagon (v2), summed from the counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from catalog_api.index.index import Source
from catalog_api.tiles import mvt
from catalog_api.tiles.address import EXTENT, Tile
from catalog_api.tiles.counts import Counts, Numbers, read_counts
from catalog_api.tiles.hexagons import Outlines, resolution_of_zoom, spans
from catalog_api.tiles.mercator import across, down
from federation.cells import LATTICE_COLUMNS
from federation.queries import query

GRID_FIELDS = (
    "id",
    "nb_pictures",
    "nb_360_pictures",
    "nb_flat_pictures",
    "coef",
    "coef_360_pictures",
    "coef_flat_pictures",
)
HEXAGON_FIELDS = ("id", "nb_pictures", "nb_360_pictures", "nb_flat_pictures", "date", "type")
#: Squares are 0.1 degree: ten rows and columns a degree, counted from the south-west corner.
_PER_DEGREE = 10
_ROWS = 1_800
_KINDS = ("flat", "equirectangular")
_DAY_0 = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Scale:
    """What numbers of pictures are compared with, of all, 360 and flat: the median and the greatest of a square."""

    medians: Sequence[float]
    maxima: Sequence[int]


async def lattice_layer(source: Source, tile: Tile) -> bytes:
    """v1: a point in the middle of each lattice square, in the one tile that holds it."""
    counts = await read_counts(source, *_lattice_spans(tile))
    row, column = np.divmod(counts.cells, LATTICE_COLUMNS)
    # the last unit of the world holds its edge
    x = np.floor(across((column + 0.5) / _PER_DEGREE - 180) * tile.units).astype(np.int64)
    y = np.floor(down((row + 0.5) / _PER_DEGREE - 90) * tile.units).clip(0, tile.units - 1).astype(np.int64)
    x, y = x - tile.x * EXTENT, y - tile.y * EXTENT
    inside = (x >= 0) & (x < EXTENT) & (y >= 0) & (y < EXTENT)
    counts, x, y = counts.pick(inside), x[inside], y[inside]
    if not len(counts.cells):
        return b""
    return mvt.layer("grid", _lattice_columns(counts, await _scale(source)), mvt.points(x, y))


def _lattice_columns(counts: Counts, scale: Scale) -> list[mvt.Column]:
    numbers = (counts.pictures, counts.of_360, counts.pictures - counts.of_360)
    ids = mvt.integers("id", counts.cells)
    amounts = [mvt.integers(key, each) for key, each in zip(GRID_FIELDS[1:4], numbers, strict=True)]
    shares = [
        mvt.tenths(key, coefficients(each, median, most))
        for key, each, median, most in zip(GRID_FIELDS[4:], numbers, scale.medians, scale.maxima, strict=True)
    ]
    return [ids, *amounts, *shares]


def coefficients(numbers: Numbers, median: float, most: int) -> npt.NDArray[np.float64]:
    """0 for nothing; up to the median half its share of it; above, 0.5 and half its share of the greatest; in tenths.

    >>> coefficients(np.array([0, 5, 10, 50, 100, 200]), 10, 100).tolist()
    [0.0, 0.2, 0.5, 0.8, 1.0, 1.0]
    """
    below, above = numbers / max(median, 1e-9) * 0.5, 0.5 + numbers / max(most, 1) * 0.5
    found = np.where(numbers <= 0, 0.0, np.where(numbers <= median, below, above))
    return np.asarray(np.rint(np.clip(found, 0, 1) * 10) / 10)


async def hexagon_layer(source: Source, outlines: Outlines, tile: Tile) -> bytes:
    """v2: each hexagon that meets the tile, with the counts of the whole hexagon."""
    counts = await read_counts(source, *spans(tile))
    corners = outlines.of(counts.cells, resolution_of_zoom(tile.z))
    x, y, count, met = corners.on(tile)
    counts, x, y, count = counts.pick(met), x[met], y[met], count[met]
    # nearly all have six corners: the others' empty places are written by themselves
    usual = int(max(6, count.max())) if len(count) else 6
    return mvt.layer("grid", _hexagon_columns(counts), mvt.polygons(x[:, :usual], y[:, :usual], count))


def _hexagon_columns(counts: Counts) -> list[mvt.Column]:
    numbers = (counts.pictures, counts.of_360, counts.pictures - counts.of_360)
    amounts = [mvt.integers(key, each) for key, each in zip(HEXAGON_FIELDS[1:4], numbers, strict=True)]
    days, which = np.unique(counts.latest, return_inverse=True)
    words = [(_DAY_0 + timedelta(days=int(day))).isoformat() for day in days]
    dates = mvt.texts("date", words, np.where(counts.latest > 0, which, -1))
    kinds = mvt.texts("type", _KINDS, (2 * counts.of_360 > counts.pictures).astype(np.int64))
    return [*amounts, dates, kinds, mvt.names("id", counts.cells)]


def _lattice_spans(tile: Tile) -> tuple[Numbers, Numbers]:
    """Numbers of squares whose middle may be in a tile: a span for each row, or one for all where rows are whole."""
    box = tile.box()
    south = max(0, math.floor((box.south + 90) * _PER_DEGREE) - 1)
    north = min(_ROWS - 1, math.ceil((box.north + 90) * _PER_DEGREE))
    west = max(0, math.floor((box.west + 180) * _PER_DEGREE) - 1)
    east = min(LATTICE_COLUMNS - 1, math.ceil((box.east + 180) * _PER_DEGREE))
    if east - west + 1 >= LATTICE_COLUMNS:
        return np.array([south * LATTICE_COLUMNS]), np.array([(north + 1) * LATTICE_COLUMNS - 1])
    rows = np.arange(south, north + 1) * LATTICE_COLUMNS
    return rows + west, rows + east


async def _scale(source: Source) -> Scale:
    row = (await source.fetch(query("tile_grid_scale")))[0]
    return Scale(row["medians"], row["maxima"])
