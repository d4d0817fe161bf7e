"""Files of the export that were recalled: after they were written, something in their leaf was withdrawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from catalog_api.index.feed import Fetch
from federation.cells import parent, resolution_of
from federation.queries import query


async def recalled(fetch: Fetch, files: Sequence[tuple[str, int]]) -> set[str]:
    """Of files, by leaf (an H3 cell in hexadecimal) and the last recall they know of, the leaves whose are recalled."""
    oldest = min((recall for _, recall in files), default=0)
    rows = await fetch(query("catalog_recalls"), oldest) if files else []
    return {leaf for leaf, recall in files if _is_recalled(int(leaf, 16), recall, rows)}


def _is_recalled(leaf: int, known: int, rows: Iterable[Any]) -> bool:
    return any(row["n"] > known and any(overlap(leaf, cell) for cell in row["cells"]) for row in rows)


def overlap(one: int, other: int) -> bool:
    """Whether one cell is the other or below it: leaves are split, and their files named as they were.

    >>> overlap(0x801ffffffffffff, 0x811fbffffffffff), overlap(0x811fbffffffffff, 0x811fbffffffffff)
    (True, True)
    >>> overlap(0x811fbffffffffff, 0x811f3ffffffffff)
    False
    """
    coarse, fine = sorted((one, other), key=resolution_of)
    return parent(fine, resolution_of(coarse)) == coarse
