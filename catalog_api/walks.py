"""Searches without a place: by ids, through sequences by rank, and newest first through the latest sequences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from catalog_api.index import Index
from catalog_api.nearness import ZERO_ID
from catalog_api.params import Interval
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

#: How many sequences are read at first, and at most, before looking whether the page is full.
_SEQUENCES_AT_FIRST, _SEQUENCES_AT_MOST = 2, 64
_FOREVER = datetime.max.replace(tzinfo=UTC)
RANK_MIN = -(2**31)


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPosition:
    """After which picture of which sequence a page begins."""

    sequence: int = 0
    rank: int = RANK_MIN
    id: str = ZERO_ID


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
    index: Index,
    interval: Interval,
    after: tuple[datetime, str] | None,
    wanted: int,
    *,
    ewkb: bytes | None = None,
    of: Sequence[int] | None = None,
) -> list[Row]:
    """Pictures by date, the latest first, then by id; within a geometry, of some sequences, or all.

    They are found through their sequences: those around the moment where the page begins, then those that end before
    it, a few at a time, until no further one can have a picture as late as the last one found.
    """
    until = _earlier(interval.end, after[0] if after else None)

    async def work(leaves: LeafSet) -> list[Row]:
        group = [] if until is None else await index.fetch(query("catalog_sequences_around"), until, ewkb, of)
        edge, at_once = (until or _FOREVER, -(2**31)), _SEQUENCES_AT_FIRST
        found: list[Row] = []
        while True:
            more = await index.fetch(query("catalog_sequences_until"), *edge, interval.start, at_once, ewkb, of)
            found += await _newest_of(index, leaves, [*group, *more], interval, after, wanted, ewkb)
            found.sort(key=lambda row: row["id"])
            found.sort(key=lambda row: row["datetime"], reverse=True)
            del found[wanted:]
            if len(more) < at_once or (len(found) == wanted and more[-1]["datetime_max"] < found[-1]["datetime"]):
                return found
            group, edge = [], (more[-1]["datetime_max"], more[-1]["n"])
            at_once = min(2 * at_once, _SEQUENCES_AT_MOST)

    return await index.repeat(work)


async def _newest_of(
    index: Index,
    leaves: LeafSet,
    sequences: Sequence[Row],
    interval: Interval,
    after: tuple[datetime, str] | None,
    wanted: int,
    ewkb: bytes | None,
) -> list[Row]:
    if not sequences:
        return []
    cells = leaves.standing_for(cell for row in sequences for cell in row["cells"])
    numbers, known = [row["n"] for row in sequences], [row["indexed"] for row in sequences]
    return await index.read(
        leaves, query("catalog_newest"), cells, numbers, known, wanted, *(after or (None, None)), interval.start,
        interval.end, ewkb,
    )  # fmt: skip


def _earlier(one: datetime | None, other: datetime | None) -> datetime | None:
    if one is None or other is None:
        return other if one is None else one
    return min(one, other)
