"""Counts of pictures by cell, read as arrays: lattice squares and hexagons alike are spans of numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog_api.index.index import Source
from federation.queries import query

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


async def read_counts(source: Source, first: Numbers, last: Numbers) -> Counts:
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


async def populated(source: Source, span: tuple[int, int]) -> list[int]:
    """The cells between two numbers that have pictures."""
    counts = await read_counts(source, np.array([span[0]]), np.array([span[1]]))
    cells: list[int] = counts.cells.tolist()
    return cells
