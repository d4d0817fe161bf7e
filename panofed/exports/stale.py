"""Which leaves an export has to write anew: those that the change feed says were touched since."""

from __future__ import annotations

from collections.abc import Iterable

from catalog_api.index.feed import FeedForgotten, Fetch, Token, TokenRefused, read_changes, read_token
from federation.cells import Box, parent, resolution_of
from federation.leaves import LeafSet

#: Changes read at a time.
_AT_ONCE = 5_000


async def touched_since(fetch: Fetch, token: str, leaves: LeafSet) -> set[int] | None:
    """The leaves; None when the feed does not reach back to the token: then everything may have changed.

    A change names the box of its sequence before and after; every leaf that may hold a point of them is touched. So a
    merge that commits late is seen, which the times of the pictures' own rows would not show.
    """
    cells: set[int] = set()
    try:
        at = read_token(token)
        while True:
            found = await read_changes(fetch, at, _AT_ONCE)
            for row in found.rows:
                for box in (row["bbox_before"], row["bbox_after"]):
                    cells.update(leaves.covering(Box(*box)) if box is not None else ())
            at = Token(found.epoch, found.end)
            if len(found.rows) < _AT_ONCE:
                return cells
    except (FeedForgotten, TokenRefused):
        return None


def units(leaves: LeafSet) -> list[int]:
    """The cells that get a file: every leaf, and for one that is being split, itself in place of its children."""
    return sorted({unit_of(cell, leaves) for cell in leaves.cells})


def unit_of(cell: int, leaves: LeafSet) -> int:
    """The cell whose file has what is in this leaf."""
    for resolution in range(resolution_of(cell)):
        above = parent(cell, resolution)
        if leaves.states.get(above) == "splitting":
            return above
    return cell


def units_of(cells: Iterable[int], leaves: LeafSet) -> frozenset[int]:
    """The cells whose files have what is in these leaves."""
    return frozenset(unit_of(cell, leaves) for cell in cells)
