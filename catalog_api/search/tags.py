"""Tags that few pictures have: their sequences, by the index of tags."""

from __future__ import annotations

from collections.abc import Sequence

from catalog_api.index.index import Index
from catalog_api.query.places import ewkb_of_box
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.scope import Scope
from federation.cells import WORLD, Box
from federation.leaves import LeafSet
from federation.queries import query

#: Rare is what this share of the pictures that a search may read have: what is not is found soon enough by walking.
_RARE_SHARE = 0.01
#: A search that began so goes on so, though some came meanwhile.
_STILL = 4
#: Leaves that one statement opens: a plan of more takes as long as their reading.
_LEAVES_AT_ONCE = 100


async def rarely_tagged(
    index: Index, predicate: Predicate, box: Box, scope: Scope, *, readable: int, goes_on: bool
) -> list[int] | None:
    """Numbers of all sequences with such pictures; None where those are too many pictures.

    `readable` is how many pictures a search may read, `goes_on` that this is not its first page.
    """
    most = int(readable * _RARE_SHARE) * (_STILL if goes_on else 1)
    ewkb = scope.ewkb if scope.ewkb is not None or box == WORLD else ewkb_of_box(box)

    async def work(leaves: LeafSet) -> list[int] | None:
        cells = leaves.covering(box)
        for tags in predicate.tags:
            found = await _sequences_of(index, leaves, cells, tags, ewkb, most)
            if found is not None:
                allowed = None if scope.of is None else set(scope.of)
                return [n for n in found if allowed is None or n in allowed]
        return None

    return await index.repeat(work)


async def _sequences_of(
    index: Index, leaves: LeafSet, cells: Sequence[int], tags: Sequence[str], ewkb: bytes | None, most: int
) -> list[int] | None:
    found: set[int] = set()
    seen = 0
    for first in range(0, len(cells), _LEAVES_AT_ONCE):
        some = cells[first : first + _LEAVES_AT_ONCE]
        rows = await index.read(leaves, query("catalog_tagged"), some, list(tags), most + 1 - seen, ewkb)
        found.update(row["n"] for row in rows)
        seen += len(rows)
        if seen > most:
            return None
    return sorted(found)


def with_tags(predicate: Predicate | None) -> Predicate | None:
    """The predicate with what the index of tags can find of it in front."""
    if predicate is None:
        return None
    tagged = [
        Predicate(query("picture_tagged").replace("/* key */", "$1::text[]::jsonb[]"), (list(tags),))
        for tags in predicate.tags
    ]
    return both([*tagged, predicate])
