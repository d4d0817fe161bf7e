"""Searches without a place: by ids, through sequences by rank, and newest first through the leaves that can matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from catalog_api.index import Index
from catalog_api.nearness import ZERO_ID
from catalog_api.params import Interval
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: How many leaves one statement names while walking: planning grows with them, trips shrink.
_LEAVES_AT_ONCE = 8
RANK_MIN = -(2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPosition:
    """After which picture of which sequence a page begins."""

    sequence: int = 0
    rank: int = RANK_MIN
    id: str = ZERO_ID


@dataclass(frozen=True, slots=True)
class Span:
    """A leaf with the dates of its pictures; None where nobody knows."""

    cell: int
    first: datetime | None
    last: datetime | None


async def by_ids(
    index: Index,
    ids: Sequence[str],
    after: int,
    wanted: int,
    *,
    interval: Interval,
    collections: Sequence[str] | None,
    ewkb: bytes | None,
) -> list[Row]:
    """Pictures in the order of `ids`, from the one after position `after` (the first is 1)."""
    return await index.fetch(
        query("catalog_by_ids"), ids, after, wanted, interval.start, interval.end, collections, ewkb
    )


async def by_sequences(
    index: Index, ids: Sequence[str], after: RankPosition, wanted: int, interval: Interval, ewkb: bytes | None = None
) -> list[tuple[Row, str, RankPosition]]:
    """Pictures of these sequences, in their order and by rank; each with its sequence and the position after it."""

    async def work(leaves: LeafSet) -> list[tuple[Row, str, RankPosition]]:
        found: list[tuple[Row, str, RankPosition]] = []
        known = {str(row["id"]): row for row in await index.fetch(query("catalog_sequence_leaves"), ids)}
        for number, name in enumerate(ids):
            if number < after.sequence or name not in known:
                continue
            here = after if number == after.sequence else RankPosition(sequence=number)
            rows = await read_sequence(index, leaves, known[name], here, wanted - len(found), interval, ewkb)
            found.extend(
                (row, name, RankPosition(sequence=number, rank=row["rank"], id=str(row["id"]))) for row in rows
            )
            if len(found) >= wanted:
                break
        return found

    return await index.repeat(work)


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
) -> list[Row]:
    """Pictures of one sequence by rank; `sequence` has n and cells."""
    return await index.read(
        leaves,
        query("catalog_of_sequence_before" if backwards else "catalog_of_sequence"),
        leaves.standing_for(sequence["cells"]),
        sequence["n"],
        wanted,
        after.rank,
        after.id,
        interval.start,
        interval.end,
        ewkb,
        lies_in=sequence["cells"],
    )


async def newest(
    index: Index, interval: Interval, after: tuple[datetime, str] | None, wanted: int
) -> list[Row]:
    """Pictures by date, the latest first, then by id; leaves whose dates cannot matter are not touched."""

    async def work(leaves: LeafSet) -> list[Row]:
        spans = [_span(row) for row in await index.fetch(query("catalog_leaf_statistics"))]
        latest = _earlier(interval.end, after[0] if after else None)
        left = order_spans(spans, interval.start, latest)
        found: list[Row] = []
        while True:
            group, left = left[:_LEAVES_AT_ONCE], left[_LEAVES_AT_ONCE:]
            found.extend(await _newest_of(index, leaves, [span.cell for span in group], interval, after, wanted))
            found.sort(key=lambda row: row["id"])
            found.sort(key=lambda row: row["datetime"], reverse=True)
            del found[wanted:]
            if not left or (len(found) == wanted and _is_older(left[0], found[-1]["datetime"])):
                return found

    return await index.repeat(work)


async def _newest_of(
    index: Index,
    leaves: LeafSet,
    cells: Sequence[int],
    interval: Interval,
    after: tuple[datetime, str] | None,
    wanted: int,
) -> list[Row]:
    when, identifier = after or (None, None)
    return await index.read(
        leaves, query("catalog_newest"), cells, wanted, when, identifier, interval.start, interval.end
    )


def _span(row: Row) -> Span:
    if row["unknown"]:
        return Span(row["cell"], None, None)
    return Span(row["cell"], row["datetime_min"], row["datetime_max"])


def order_spans(spans: Sequence[Span], start: datetime | None, end: datetime | None) -> list[Span]:
    """Those that may hold a picture from `start` to `end`, the one with the latest date first; unknown ones before all."""
    may = [
        span
        for span in spans
        if not (start is not None and span.last is not None and span.last < start)
        and not (end is not None and span.first is not None and span.first > end)
    ]
    return sorted(may, key=lambda span: (span.last is not None, -span.last.timestamp() if span.last else 0, span.cell))


def _is_older(span: Span, when: datetime) -> bool:
    return span.last is not None and span.last < when


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
