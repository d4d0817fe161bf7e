"""How many pictures a search matches in all: counted on request, within a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from catalog_api.index.index import Index
from catalog_api.query.params import ALWAYS
from catalog_api.query.places import Place
from catalog_api.query.predicates import spliced
from catalog_api.query.scope import Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.search.asked import has_place, place_of, scope_of
from catalog_api.search.nearness import Filters, count_within
from federation.database import Row
from federation.errors import QueryTooLong
from federation.leaves import LeafSet
from federation.queries import query
from federation.settings import Settings

#: Pictures that one statement counts.
_AT_ONCE = 200_000


async def count_matches(index: Index, settings: Settings, params: SearchParams) -> int | None:
    """All matches; None when counting takes longer than PANOFED_COUNT_TIMEOUT_S."""
    try:
        async with asyncio.timeout(settings.count_timeout_s):
            return await _count(index, settings, params)
    except (TimeoutError, QueryTooLong):
        return None


async def _count(index: Index, settings: Settings, params: SearchParams) -> int:
    scope = await scope_of(index, params)
    if params.ids is not None:
        statement, more = spliced("catalog_count_ids", scope.predicate)
        interval = scope.interval
        rows = await index.fetch(
            statement, params.ids, interval.start, interval.end, params.collections, scope.ewkb, *more
        )
        return int(rows[0]["n"])
    place = None
    if params.looking is not None:
        place = params.looking.place(scope.ewkb)
    elif has_place(params) and place_of(params).box.span_deg() <= settings.nearness_box_max_deg:
        place = place_of(params)
    if place is not None:
        return await _count_place(index, place, scope)
    if scope.interval == ALWAYS and scope.predicate is None and scope.ewkb is None:
        return int((await index.fetch(query("catalog_count_stored"), scope.of))[0]["n"])
    return await _count_sequences(index, scope)


async def _count_place(index: Index, place: Place, scope: Scope) -> int:
    of = None if scope.of is None else tuple(scope.of)
    filters = Filters(interval=scope.interval, sequences=of, predicate=scope.predicate)

    async def work(leaves: LeafSet) -> int:
        return await count_within(index, leaves, place, filters, list(place.box.parts()))

    return await index.repeat(work)


async def _count_sequences(index: Index, scope: Scope) -> int:
    interval = scope.interval
    statement, more = spliced("catalog_sequences_with", scope.narrow)
    counting, values = spliced("catalog_count_of_sequences", scope.predicate)

    async def work(leaves: LeafSet) -> int:
        rows = await index.fetch(statement, None, interval.start, interval.end, scope.ewkb, scope.of, *more)
        counted = 0
        for group in _groups(rows):
            cells = leaves.standing_for({cell for row in group for cell in row["cells"]})
            numbers = [row["n"] for row in group]
            found = await index.read(
                leaves, counting, cells, numbers, interval.start, interval.end, scope.ewkb, *values
            )
            counted += found[0]["n"]
        return counted

    return await index.repeat(work)


def _groups(rows: Sequence[Row]) -> Iterator[list[Row]]:
    group: list[Row] = []
    size = 0
    for row in rows:
        group.append(row)
        size += row["pictures"]
        if size >= _AT_ONCE:
            yield group
            group, size = [], 0
    if group:
        yield group
