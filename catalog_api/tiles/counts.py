"""Counts of pictures by cell, read as arrays: lattice squares and hexagons alike are spans of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog_api.index.hidden import leaving_out
from catalog_api.index.index import Source
from federation.database import Row
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
        if which.all():
            return self
        return Counts(self.cells[which], self.pictures[which], self.of_360[which], self.latest[which])


async def read_counts(source: Source, first: Numbers, last: Numbers, hidden: Sequence[int] = ()) -> Counts:
    """The counts of all cells in these spans, which are in ascending order, without those of hidden instances."""
    statement, values = leaving_out(query("tile_counts"), (first.tolist(), last.tolist()), hidden)
    rows = await source.fetch(statement, *values)
    cells = _numbers(rows, "cells", 8)
    pictures, of_360 = _pair(_numbers(rows, "pictures", 8))
    return _summed(*_within(first, last, cells, pictures, of_360, _numbers(rows, "latest", 4)))


async def read_squares(source: Source, first: Numbers, last: Numbers, hidden: Sequence[int] = ()) -> Counts:
    """The same of lattice squares, whose numbers are small, without days: half the bytes and time."""
    statement, values = leaving_out(query("tile_squares"), (first.tolist(), last.tolist()), hidden)
    rows = await source.fetch(statement, *values)
    cells, pictures = _pair(_numbers(rows, "squares", 8))
    of_360 = _numbers(rows, "pictures_360", 4)
    return _summed(*_within(first, last, cells, pictures, of_360, np.zeros_like(cells)))


def _numbers(rows: Sequence[Row], name: str, width: int) -> Numbers:
    """The arrays of all rows as one, from what PostgreSQL sends: each element behind its length."""
    sent = b"".join(row[name][_ARRAY_HEAD_BYTES:] for row in rows)
    element = np.dtype([("length", ">i4"), ("number", f">i{width}")])
    return np.frombuffer(sent, element)["number"].astype(np.int64)


def _pair(both: Numbers) -> tuple[Numbers, Numbers]:
    """Two numbers that came as one: the first times 2^32, and the second, either of which may be negative."""
    second = both.astype(np.int32).astype(np.int64)
    return (both - second) >> 32, second


def _within(first: Numbers, last: Numbers, cells: Numbers, *others: Numbers) -> tuple[Numbers, ...]:
    """Without the cells between the spans: what is not folded yet comes from there too."""
    inside = cells >= first[0]
    inside &= cells <= (last if len(last) == 1 else last[np.searchsorted(first, cells, side="right") - 1])
    return (cells, *others) if inside.all() else tuple(each[inside] for each in (cells, *others))


def _summed(cells: Numbers, pictures: Numbers, of_360: Numbers, latest: Numbers) -> Counts:
    """Each cell once. They come in order, but for what is not folded yet."""
    steps = np.diff(cells)
    if (steps < 0).any():
        order = np.argsort(cells, kind="stable")
        cells, pictures, of_360, latest = (each[order] for each in (cells, pictures, of_360, latest))
        steps = np.diff(cells)
    if not steps.all():
        starts = np.flatnonzero(np.concatenate([[True], steps > 0]))
        pictures, of_360 = np.add.reduceat(pictures, starts), np.add.reduceat(of_360, starts)
        cells, latest = cells[starts], np.maximum.reduceat(latest, starts)
    return Counts(cells, pictures, of_360, latest).pick(pictures > 0)


async def populated(source: Source, span: tuple[int, int]) -> list[int]:
    """The cells between two numbers that have pictures."""
    counts = await read_counts(source, np.array([span[0]]), np.array([span[1]]))
    cells: list[int] = counts.cells.tolist()
    return cells
