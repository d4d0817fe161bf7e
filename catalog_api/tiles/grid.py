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
#: What PostgreSQL writes before the elements of an array of one dimension.
_ARRAY_HEAD_BYTES = 20

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of cells in ascending order, each once, none empty. `latest` is in days since 1970; 0 where no day is known."""

    cells: Numbers
    pictures: Numbers
    of_360: Numbers
    latest: Numbers

    def pick(self, which: npt.NDArray[np.bool_]) -> Counts:
        """Some of them."""
        return Counts(self.cells[which], self.pictures[which], self.of_360[which], self.latest[which])


@dataclass(frozen=True, slots=True)
class Scale:
    """What numbers of pictures are compared with, of all, 360 and flat: the median and the greatest of a square."""

    medians: Sequence[float]
    maxima: Sequence[int]


async def lattice_layer(source: Source, tile: Tile) -> bytes:
    """v1: a point in the middle of each lattice square, in the one tile that holds it."""
    counts = await _read(source, *_lattice_spans(tile))
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
    counts = await _read(source, *spans(tile))
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


async def populated(source: Source, span: tuple[int, int]) -> list[int]:
    """The cells between two numbers that have pictures."""
    counts = await _read(source, np.array([span[0]]), np.array([span[1]]))
    cells: list[int] = counts.cells.tolist()
    return cells


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


async def _read(source: Source, first: Numbers, last: Numbers) -> Counts:
    """The counts of all cells in these spans, which are in ascending order."""
    row = (await source.fetch(query("tile_counts"), first.tolist(), last.tolist()))[0]
    cells = _array(row["cells"], 8)
    rows = (cells, _array(row["pictures"], 4), _array(row["pictures_360"], 4), _array(row["latest"], 4))
    if len(cells):
        # what is not folded yet comes from everywhere
        inside = cells <= last[np.searchsorted(first, cells, side="right") - 1]
        inside &= cells >= first[0]
        rows = tuple(each[inside] for each in rows)  # type: ignore[assignment]
    return _summed(*rows)


def _array(sent: bytes | None, width: int) -> Numbers:
    """An array as PostgreSQL sends it: each element behind its length."""
    if sent is None:
        return np.empty(0, np.int64)
    element = np.dtype([("length", ">i4"), ("number", f">i{width}")])
    return np.frombuffer(sent, element, offset=_ARRAY_HEAD_BYTES)["number"].astype(np.int64)


def _summed(cells: Numbers, pictures: Numbers, of_360: Numbers, latest: Numbers) -> Counts:
    if len(cells) > 1 and not (np.diff(cells) > 0).all():
        distinct, which = np.unique(cells, return_inverse=True)
        newest = np.zeros(len(distinct), np.int64)
        np.maximum.at(newest, which, latest)
        sums = [np.bincount(which, each, len(distinct)).astype(np.int64) for each in (pictures, of_360)]
        cells, pictures, of_360, latest = distinct, sums[0], sums[1], newest
    return Counts(cells, pictures, of_360, latest).pick(pictures > 0)
