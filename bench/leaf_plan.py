"""Which leaves a catalog ends with, from a count of its pictures per finest cell: no leaf is filled to be split."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from bench.pictures import Integers
from federation.cells import FINEST, children, resolution_of


def parents(cells: Integers, resolution: int) -> Integers:
    """The ancestors of many cells: federation.cells.parent, for arrays.

    >>> [hex(cell) for cell in parents(np.array([0x8b1fb466258bfff]), 3).tolist()]
    ['0x831fb4fffffffff']
    """
    kept = cells & ~np.int64(15 << 52)
    ancestors: Integers = kept | np.int64(resolution << 52) | np.int64((1 << ((15 - resolution) * 3)) - 1)
    return ancestors


def plan_leaves(cells: Integers, pictures: Integers, base_resolution: int, leaf_max: int) -> list[int]:
    """The leaves when every one with more than `leaf_max` pictures was split into all its children.

    `cells` are distinct finest cells, `pictures` how many are in each. A split makes empty children too, as here.
    """
    leaves: list[int] = []
    tops = parents(cells, base_resolution)
    pending = [(top, np.flatnonzero(tops == top)) for top in np.unique(tops).tolist()]
    while pending:
        cell, rows = pending.pop()
        resolution = resolution_of(cell)
        if resolution == FINEST or int(pictures[rows].sum()) <= leaf_max:
            leaves.append(cell)
            continue
        under = parents(cells[rows], resolution + 1)
        pending += [(child, rows[under == child]) for child in children(cell)]
    return sorted(leaves)


def leaf_numbers(cells: Integers, leaves: Sequence[int]) -> npt.NDArray[np.intp]:
    """For every finest cell the position of its leaf in `leaves`; ValueError when one has none."""
    numbers: npt.NDArray[np.intp] = np.full(len(cells), -1, dtype=np.intp)
    known = np.asarray(leaves, dtype=np.int64)
    order = np.argsort(known)
    for resolution in sorted({resolution_of(leaf) for leaf in leaves}):
        ancestors = parents(cells, resolution)
        places = np.minimum(np.searchsorted(known[order], ancestors), len(known) - 1)
        found = known[order][places] == ancestors
        numbers[found] = order[places[found]]
    if (numbers < 0).any():
        raise ValueError(f"no leaf for the cell {int(cells[np.argmin(numbers)]):x}")
    return numbers
