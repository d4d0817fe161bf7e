"""Pictures that are named: by their ids, and by their sequences in the order of rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog_api.index.index import Index
from catalog_api.query.params import Interval
from catalog_api.query.predicates import Predicate, spliced
from catalog_api.query.scope import Scope
from catalog_api.query.sorting import Order
from catalog_api.search.nearness import ZERO_ID
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

RANK_MIN = -(2**31)
RANK_MAX = 2**31 - 1
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPosition:
    """After which picture of which sequence a page begins."""

    sequence: int = 0
    rank: int = RANK_MIN
    id: str = ZERO_ID


async def by_ids(
    index: Index, ids: Sequence[str], after: int, wanted: int, scope: Scope, *, collections: Sequence[str] | None
) -> list[Row]:
    """Pictures in the order of `ids`, from the one after position `after` (the first is 1)."""
    statement, more = spliced("catalog_by_ids", scope.predicate)
    interval = scope.interval
    return await index.fetch(
        statement, ids, after, wanted, interval.start, interval.end, collections, scope.ewkb, *more
    )


async def by_ids_sorted(
    index: Index,
    ids: Sequence[str],
    order: Order,
    wanted: int,
    scope: Scope,
    *,
    centre: tuple[float, float] | None,
    collections: Sequence[str] | None,
) -> list[Row]:
    """The same in any order."""
    statement, more = spliced("catalog_by_ids_sorted", scope.predicate, marks=order.marks("ids_centre"))
    interval = scope.interval
    return await index.fetch(
        statement, ids, wanted, interval.start, interval.end, collections, scope.ewkb, *(centre or (None, None)), *more
    )


async def by_sequences(
    index: Index, ids: Sequence[str], after: RankPosition, wanted: int, scope: Scope
) -> list[tuple[Row, str, RankPosition]]:
    """Pictures of these sequences, in their order and by rank; each with its sequence and the position after it."""

    async def work(leaves: LeafSet) -> list[tuple[Row, str, RankPosition]]:
        found: list[tuple[Row, str, RankPosition]] = []
        known: dict[str, list[Row]] = {}
        for row in await index.fetch(query("catalog_sequence_leaves"), ids):
            known.setdefault(str(row["id"]), []).append(row)
        for number, name in enumerate(ids):
            if number < after.sequence or name not in known:
                continue
            here = after if number == after.sequence else RankPosition(sequence=number)
            left = wanted - len(found)
            rows = await read_copies(
                index, leaves, known[name], here, left, scope.interval, scope.ewkb, predicate=scope.predicate
            )
            found.extend(
                (row, name, RankPosition(sequence=number, rank=row["rank"], id=str(row["id"]))) for row in rows
            )
            if len(found) >= wanted:
                break
        return found

    return await index.repeat(work)


async def read_copies(
    index: Index,
    leaves: LeafSet,
    copies: Sequence[Row],
    after: RankPosition,
    wanted: int,
    interval: Interval,
    ewkb: bytes | None,
    *,
    backwards: bool = False,
    predicate: Predicate | None = None,
) -> list[Row]:
    """Pictures of one sequence by rank, wherever they are: other instances' copies of it can have some of their own."""
    found = [
        await read_sequence(
            index, leaves, each, after, wanted, interval, ewkb, backwards=backwards, predicate=predicate
        )
        for each in copies
    ]  # fmt: skip
    if len(found) == 1:
        return found[0]
    rows = sorted((row for some in found for row in some), key=lambda row: (row["rank"], row["id"]), reverse=backwards)
    return rows[:wanted]


async def read_sequence(
    index: Index,
    leaves: LeafSet,
    sequence: Row,
    after: RankPosition,
    wanted: int,
    interval: Interval,
    ewkb: bytes | None,
    *,
    backwards: bool = False,
    predicate: Predicate | None = None,
) -> list[Row]:
    """Pictures of one instance's copy of a sequence by rank; `sequence` has n and cells."""
    statement, more = spliced("catalog_of_sequence_before" if backwards else "catalog_of_sequence", predicate)
    return await index.read(
        leaves,
        statement,
        leaves.standing_for(sequence["cells"]),
        sequence["n"],
        wanted,
        after.rank,
        after.id,
        interval.start,
        interval.end,
        ewkb,
        *more,
        lies_in=sequence["cells"],
    )
