"""Pictures in an order, found through their sequences: those around where the page begins, then those beyond it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from catalog_api.edge.responses import BadRequest
from catalog_api.index.index import Index
from catalog_api.query.params import Interval
from catalog_api.query.predicates import Predicate, both, spliced
from catalog_api.query.scope import ANYTHING, Scope
from catalog_api.query.sorting import LATEST, Order
from catalog_api.search.walks import RANK_MAX, RANK_MIN
from federation.database import Row
from federation.leaves import LeafSet

#: How many sequences are read at first, and at most, before looking whether the page is full.
_SEQUENCES_AT_FIRST, _SEQUENCES_AT_MOST = 2, 64
#: Where a filter lets few through, most of what is read is for nothing: fewer, larger statements.
_FILTERED_AT_FIRST, _FILTERED_AT_MOST = 8, 512
#: What looking into a sequence costs, in pictures.
SEQUENCE_COST = 20
_FOREVER = datetime.max.replace(tzinfo=UTC)
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """How sequences are met in an order: at the moment where a page begins, and beyond it, by their `edge`."""

    key: str
    descending: bool
    at: str
    beyond: str

    def start(self, interval: Interval, first: datetime | None) -> datetime | None:
        """The moment where the page begins, None for the very beginning."""
        if self.key != "datetime":
            return first
        limit = interval.end if self.descending else interval.start
        if limit is None or first is None:
            return first if limit is None else limit
        return min(limit, first) if self.descending else max(limit, first)

    def edge(self, moment: datetime | None) -> tuple[datetime, int]:
        """The position before the first sequence beyond a moment."""
        if self.descending:
            return (moment or _FOREVER, RANK_MIN)
        return (moment or _EVER, RANK_MAX)

    def end(self, interval: Interval) -> datetime | None:
        """Where no further sequence can have a picture of the interval."""
        return interval.start if self.descending else interval.end

    def is_past(self, edge: datetime, value: datetime) -> bool:
        """Whether every picture of the sequences beyond an edge comes after a value."""
        return edge < value if self.descending else edge > value


_WALKS = {
    ("datetime", True): Walk(
        key="datetime", descending=True, at="catalog_sequences_around", beyond="catalog_sequences_until"
    ),
    ("datetime", False): Walk(
        key="datetime", descending=False, at="catalog_sequences_around", beyond="catalog_sequences_from"
    ),
    ("panofed:indexed", True): Walk(
        key="panofed:indexed",
        descending=True,
        at="catalog_sequences_indexed",
        beyond="catalog_sequences_indexed_until",
    ),
    ("panofed:indexed", False): Walk(
        key="panofed:indexed",
        descending=False,
        at="catalog_sequences_indexed",
        beyond="catalog_sequences_indexed_from",
    ),
}


def walk_of(order: Order) -> Walk | None:
    """How sequences can be met in this order; None where nothing of a sequence tells it."""
    first = order.keys[0]
    return _WALKS.get((first.name, first.descending))


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where a page begins: after a picture (its keys), or with everything from a moment on, that included."""

    after: tuple[Any, ...] | None = None
    at: datetime | None = None

    @property
    def moment(self) -> datetime | None:
        """The first key of where it begins."""
        return self.after[0] if self.after else self.at


BEGINNING = Start()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Pictures, and the moment from which the walk would go on when it ended early."""

    rows: list[Row]
    goes_on_at: datetime | None = None


async def newest(
    index: Index,
    interval: Interval,
    after: tuple[datetime, str] | None,
    wanted: int,
) -> list[Row]:
    """Pictures by date, the latest first, then by id."""
    start = BEGINNING if after is None else Start(after=after)
    return (await walk(index, LATEST, Scope(interval=interval), start, wanted)).rows


async def walk(
    index: Index,
    order: Order,
    scope: Scope = ANYTHING,
    start: Start = BEGINNING,
    wanted: int = 1,
    *,
    centre: tuple[float, float] | None = None,
    most: int | None = None,
) -> Found:
    """Up to `wanted` pictures in an order that begins with a walk's key.

    Sequences are read a few at a time, until no further one can have a picture before the last one found. `most` is how
    many pictures may be read: after so many the answer is what was surely found, and from where to go on. BadRequest
    when that is nothing.
    """
    steps = walk_of(order)
    assert steps is not None
    moment = steps.start(scope.interval, start.moment)

    async def work(leaves: LeafSet) -> Found:
        group = [] if moment is None else await _sequences(index, steps.at, scope, moment)
        sparse = scope.predicate is not None
        at_once = _FILTERED_AT_FIRST if sparse else _SEQUENCES_AT_FIRST
        edge, cost = steps.edge(moment), 0
        found: list[Row] = []
        while True:
            more = await _sequences(index, steps.beyond, scope, *edge, steps.end(scope.interval), at_once)
            group = [*group, *more]
            cost += sum(row["pictures"] + SEQUENCE_COST for row in group)
            found = order.sorted(found + await read_sorted(index, leaves, order, scope, group, start, wanted, centre))
            del found[wanted:]
            if len(more) < at_once:
                return Found(rows=found)
            edge = (more[-1]["edge"], more[-1]["n"])
            if len(found) == wanted and steps.is_past(edge[0], found[-1]["key0"]):
                return Found(rows=found)
            if most is not None and cost > most:
                return _what_is_sure(steps, found, edge[0], most, scope)
            group = []
            at_once = min(2 * at_once, _FILTERED_AT_MOST if sparse else _SEQUENCES_AT_MOST)

    return await index.repeat(work)


def refuse_sorting(order: Order, most: int) -> BadRequest:
    """What is said of an order for which too much would have to be read."""
    asked = ",".join(f"{'-' if key.descending else ''}{key.name}" for key in order.keys)
    problem = f"sorting by {order.keys[0].name} would read more than {most} pictures: ask for less of them by"
    return BadRequest("sortby", asked, f"{problem} a place, collections, ids, datetime, account or instance")


def refuse_searching(scope: Scope, most: int) -> BadRequest:
    """What is said of a search of which nothing was found in so much."""
    problem = f"none was found among the first {most} pictures that were read: narrow the search by a place"
    parameter = "bbox" if scope.predicate is None else "filter"
    return BadRequest(parameter, None, f"{problem}, collections, datetime, account or instance")


def _what_is_sure(steps: Walk, found: list[Row], edge: datetime, most: int, scope: Scope) -> Found:
    rows = [row for row in found if steps.is_past(edge, row["key0"])]
    if not rows:
        raise refuse_searching(scope, most)
    return Found(rows=rows, goes_on_at=edge)


async def _sequences(index: Index, name: str, scope: Scope, *position: object) -> list[Row]:
    """Sequences of a scope from a position."""
    statement, more = spliced(name, scope.narrow)
    return await index.fetch(statement, *position, scope.ewkb, scope.of, *more)


async def read_sorted(
    index: Index,
    leaves: LeafSet,
    order: Order,
    scope: Scope,
    sequences: Sequence[Row],
    start: Start,
    wanted: int,
    centre: tuple[float, float] | None,
) -> list[Row]:
    """Pictures of these sequences in an order."""
    if not sequences:
        return []
    cells = leaves.standing_for({cell for row in sequences for cell in row["cells"]})
    predicate = both([scope.predicate, _from(order, start)])
    statement, more = spliced("catalog_sorted", predicate, marks=order.marks("sorted_centre"))
    numbers, known = [row["n"] for row in sequences], [row["indexed"] for row in sequences]
    return await index.read(
        leaves, statement, cells, numbers, known, wanted, *(centre or (None, None)), scope.interval.start,
        scope.interval.end, scope.ewkb, *more,
    )  # fmt: skip


def _from(order: Order, start: Start) -> Predicate | None:
    if start.after is not None:
        return order.after(start.after)
    return None if start.at is None else order.at_or_after(start.at)


async def sort_all(
    index: Index,
    order: Order,
    scope: Scope,
    start: Start,
    wanted: int,
    *,
    centre: tuple[float, float] | None,
    most: int | None,
) -> list[Row] | None:
    """Up to `wanted` pictures in any order, by reading all of the scope; None when those are more than `most`."""
    interval = scope.interval
    statement, more = spliced("catalog_sequences_with", scope.narrow)

    async def work(leaves: LeafSet) -> list[Row] | None:
        limit = None if most is None else most // SEQUENCE_COST + 1
        rows = await index.fetch(statement, limit, interval.start, interval.end, scope.ewkb, scope.of, *more)
        cost = sum(row["pictures"] + SEQUENCE_COST for row in rows)
        if most is not None and cost > most:
            return None
        return await read_sorted(index, leaves, order, scope, rows, start, wanted, centre)

    return await index.repeat(work)
