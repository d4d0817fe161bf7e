"""Walks in orders that an index has at any size: pictures by id, and by the number of their sequence, rank and id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from catalog_api.index.index import Index
from catalog_api.query.predicates import Predicate, both, spliced
from catalog_api.query.scope import Scope
from catalog_api.query.sorting import Order, SortKey, make_key
from catalog_api.search.walking import SEQUENCE_COST, Start, read_sorted, refuse_searching
from catalog_api.search.walks import RankPosition, by_ids_sorted
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: How many ids are looked up in one statement.
_IDS_AT_MOST = 1_000
#: How many sequences are read in one statement.
_SEQUENCES_AT_FIRST, _SEQUENCES_AT_MOST = 2, 512
#: The same where a filter lets few through.
_FILTERED_AT_FIRST = 8

BY_SEQUENCE = Order(
    keys=(
        SortKey(name="sequence", sql="picture_sequence_number", cast="integer", kind=int),
        SortKey(name="rank", sql="picture_rank", cast="integer", kind=int),
        make_key("id"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Pictures that a walk met, and after which id or sequence it goes on when it ended early."""

    rows: list[Row]
    after_id: str | None = None
    after_sequence: int | None = None


async def walk_ids(
    index: Index,
    order: Order,
    scope: Scope,
    after: str | None,
    wanted: int,
    *,
    collections: Sequence[str] | None,
    centre: tuple[float, float] | None,
    most: int,
) -> Met:
    """Up to `wanted` pictures by id. BadRequest when none was found in what may be read."""
    statement = query("catalog_ids_before" if order.keys[0].descending else "catalog_ids_after")
    here, looked, found = after, 0, list[Row]()
    at_once = min(wanted, _IDS_AT_MOST)
    while len(found) < wanted:
        ids = [str(row["id"]) for row in await index.fetch(statement, here, at_once)]
        if ids:
            found += await by_ids_sorted(
                index, ids, order, wanted - len(found), scope, centre=centre, collections=collections
            )
            here = ids[-1]
        looked += len(ids)
        if len(ids) < at_once:
            return Met(rows=found)
        if looked * SEQUENCE_COST > most and len(found) < wanted:
            if not found:
                raise refuse_searching(scope, most)
            return Met(rows=found, after_id=here)
        at_once = min(4 * at_once, _IDS_AT_MOST)
    return Met(rows=found)


async def walk_sequences(
    index: Index,
    scope: Scope,
    after: RankPosition,
    wanted: int,
    *,
    farther_than: tuple[float, str],
    centre: tuple[float, float],
    most: int,
) -> Met:
    """Up to `wanted` pictures by sequence, rank and id that are not among the nearest, which end at a distance and id.

    BadRequest when none was found in what may be read.
    """
    interval = scope.interval
    statement, more = spliced("catalog_sequences_numbered", scope.narrow)
    start = Start(after=(after.sequence, after.rank, after.id))
    at_first = _SEQUENCES_AT_FIRST if scope.predicate is None else _FILTERED_AT_FIRST
    beyond = Predicate(f"(({query('picture_distance')})::float8, p.id) > ($1::float8, $2::uuid)", farther_than)
    scope = replace(scope, predicate=both([scope.predicate, beyond]))

    async def work(leaves: LeafSet) -> Met:
        found: list[Row] = []
        last, cost, at_once = after.sequence - 1, 0, at_first
        while True:
            group = await index.fetch(
                statement, last, at_once, interval.start, interval.end, scope.ewkb, scope.of, *more
            )
            found += await read_sorted(index, leaves, BY_SEQUENCE, scope, group, start, wanted - len(found), centre)
            if len(found) >= wanted or len(group) < at_once:
                return Met(rows=found)
            last = group[-1]["n"]
            cost += sum(row["pictures"] + SEQUENCE_COST for row in group)
            if cost > most:
                if not found:
                    raise refuse_searching(scope, most)
                return Met(rows=found, after_sequence=last)
            at_once = min(2 * at_once, _SEQUENCES_AT_MOST)

    return await index.repeat(work)
