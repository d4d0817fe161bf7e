"""The layer `grid`: how many pictures are in each lattice square (v1) or hexagon (v2), summed from the counts."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog_api.index.index import Source
from catalog_api.tiles import mvt
from catalog_api.tiles.address import EXTENT, Tile
from catalog_api.tiles.counts import Counts, Numbers, read_counts, read_squares
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
#: From so many cells on a thread writes the tile: a thousand take a third of a millisecond.
_IN_A_THREAD_FROM = 4_000


@dataclass(frozen=True, slots=True)
class Scale:
    """What numbers of pictures are compared with, of all, 360 and flat: the median and the greatest of a square."""

    medians: Sequence[float]
    maxima: Sequence[int]


async def lattice_layer(source: Source, tile: Tile, hidden: Sequence[int] = ()) -> bytes:
    """v1: a point in the middle of each lattice square, in the one tile that holds it."""
    counts = await read_squares(source, *_lattice_spans(tile), hidden)
    if not len(counts.cells):
        return b""
    scale = await _scale(source)
    return await _apart(counts, lambda: _lattice_written(counts, scale, tile))


def _lattice_written(counts: Counts, scale: Scale, tile: Tile) -> bytes:
    row, column = np.divmod(counts.cells, LATTICE_COLUMNS)
    # the last unit of the world holds its edge
    columns, rows = (np.arange(LATTICE_COLUMNS) + 0.5) / _PER_DEGREE, (np.arange(_ROWS) + 0.5) / _PER_DEGREE
    x = np.floor(across(columns - 180) * tile.units).astype(np.int64)[column] - tile.x * EXTENT
    y = np.floor(down(rows - 90) * tile.units).clip(0, tile.units - 1).astype(np.int64)[row] - tile.y * EXTENT
    inside = (x >= 0) & (x < EXTENT) & (y >= 0) & (y < EXTENT)
    if not inside.all():
        counts, x, y = counts.pick(inside), x[inside], y[inside]
    return mvt.layer("grid", _lattice_columns(counts, scale), mvt.points(x, y))


async def _apart(counts: Counts, work: Callable[[], bytes]) -> bytes:
    """The result of a function of these counts; of many in a thread, so that others are answered meanwhile."""
    return await asyncio.to_thread(work) if len(counts.cells) > _IN_A_THREAD_FROM else work()


def _lattice_columns(counts: Counts, scale: Scale) -> list[mvt.Column]:
    kinds = (counts.pictures, counts.of_360, counts.pictures - counts.of_360)
    numbers, which = mvt.distinct(kinds)
    values, tenths = mvt.integers(numbers), mvt.tenths(11)
    shares = [
        mvt.Column(key, tenths, np.rint(coefficients(numbers, median, most) * 10).astype(np.int64)[each])
        for key, each, median, most in zip(GRID_FIELDS[4:], which, scale.medians, scale.maxima, strict=True)
    ]
    amounts = [mvt.Column(key, values, each) for key, each in zip(GRID_FIELDS[1:4], which, strict=True)]
    return [*shares, *amounts, mvt.Column("id", mvt.integers(counts.cells), np.arange(len(counts.cells)))]


def coefficients(numbers: Numbers, median: float, most: int) -> npt.NDArray[np.float64]:
    """0 for nothing; up to the median half its share of it; above, 0.5 and half its share of the greatest; in tenths.

    >>> coefficients(np.array([0, 5, 10, 50, 100, 200]), 10, 100).tolist()
    [0.0, 0.2, 0.5, 0.8, 1.0, 1.0]
    """
    below, above = numbers / max(median, 1e-9) * 0.5, 0.5 + numbers / max(most, 1) * 0.5
    found = np.where(numbers <= 0, 0.0, np.where(numbers <= median, below, above))
    return np.asarray(np.rint(np.clip(found, 0, 1) * 10) / 10)


async def hexagon_layer(source: Source, outlines: Outlines, tile: Tile, hidden: Sequence[int] = ()) -> bytes:
    """v2: each hexagon that meets the tile, with the counts of the whole hexagon."""
    counts = await read_counts(source, *spans(tile), hidden)
    return await _apart(counts, lambda: _hexagons_written(counts, outlines, tile))


def _hexagons_written(counts: Counts, outlines: Outlines, tile: Tile) -> bytes:
    x, y, count, met = outlines.of(counts.cells, resolution_of_zoom(tile.z)).on(tile)
    if not met.all():
        counts, x, y, count = counts.pick(met), x[:, met], y[:, met], count[met]
    return mvt.layer("grid", _hexagon_columns(counts), mvt.polygons(x, y, count))


def _hexagon_columns(counts: Counts) -> list[mvt.Column]:
    numbers, which = mvt.distinct((counts.pictures, counts.of_360, counts.pictures - counts.of_360))
    values = mvt.integers(numbers)
    amounts = [mvt.Column(key, values, each) for key, each in zip(HEXAGON_FIELDS[1:4], which, strict=True)]
    days, (day,) = mvt.distinct((counts.latest,))
    dates = mvt.texts(days.astype("datetime64[D]").astype(str).tolist())
    kinds = (2 * counts.of_360 > counts.pictures).astype(np.int64)
    return [
        mvt.Column("type", mvt.texts(_KINDS), kinds),
        *amounts,
        mvt.Column("date", dates, np.where(counts.latest > 0, day, -1)),
        mvt.Column("id", mvt.names(counts.cells), np.arange(len(counts.cells))),
    ]


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
