"""Searches with a place: by nearness, in whatever way costs least."""

from __future__ import annotations

from dataclasses import replace

from catalog_api.index.index import Index
from catalog_api.query.params import ALWAYS
from catalog_api.query.places import Place
from catalog_api.query.scope import Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.tokens import read_token
from catalog_api.search.asked import numbers_of, place_of, predicate_of, request_of, scope_of
from catalog_api.search.nearness import NO_FILTERS, Around, Cut, Filters, Position, search_place
from catalog_api.search.ordered import search_sorted, search_tagged
from catalog_api.search.paging import NEAREST, POSITIONS, Page, place_page, place_token, position_of, sorted_page
from catalog_api.search.sieving import sieve
from catalog_api.search.steady import walk_sequences
from catalog_api.search.walking import (
    BEGINNING,
    Found,
    Start,
    refuse_searching,
    sort_all,
)
from catalog_api.search.walks import LAST_ID, RANK_MAX, RankPosition
from federation.database import Row
from federation.settings import Settings

#: What part of what may be read is read first where few may pass, then, then at last.
_SHARES = (100, 10, 1)


#: So many pictures are not taken one by one from the index.
_MANY = 250
#: How many pictures may be read for each that is wanted, where a few sequences have all that may pass.
_FEW = 50


async def search_nearby(index: Index, settings: Settings, params: SearchParams) -> Page:
    start = Position()
    if params.token is not None:
        kind, values = read_token(params.token, request_of(params), **POSITIONS)
        if kind == "sorted":
            return await search_sorted(index, settings, params, NEAREST)
        start = position_of(kind, values)
    filters = Filters(
        interval=params.interval, sequences=await numbers_of(index, params), predicate=predicate_of(params)
    )
    place = place_of(params)
    if place.ewkb is not None or filters != NO_FILTERS or start.served >= settings.nearness_results:
        return await _search_few(index, settings, params, place, filters, start)
    if params.limit >= _MANY:
        page = await _search_sieved(index, settings, params, place, filters, start)
        if page is not None:
            return page
    found = await search_place(index, place, filters, start, params.limit + 1, settings.nearness_results)
    return place_page(found, params, settings, params.limit + 1)


async def _search_few(
    index: Index, settings: Settings, params: SearchParams, place: Place, filters: Filters, start: Position
) -> Page:
    """The same where only few of what is there may pass: by what costs least, and costs no more than is allowed.

    First a little is looked at by nearness; then what has rare tags, or is in few sequences, is read and sorted; then
    more is looked at, and more is sorted. Every way gives the same order.
    """
    wanted, most = params.limit + 1, settings.search_pictures_max
    scope = await scope_of(index, params)
    if start.served >= settings.nearness_results:
        return await _search_rest(index, settings, params, scope, place, start)
    page = await _search_read(index, settings, params, place, filters, scope, start)
    if page is not None:
        return page
    after = Start(after=(start.distance_m, start.id)) if start.served else BEGINNING
    sure: list[Row] = []
    for number, share in enumerate(_SHARES):
        readable = max(most // share, min(most, 20 * wanted))
        if number == 1:
            page = await search_tagged(index, settings, params, NEAREST, after)
        if number and page is None:
            page = await _search_sequences_of(index, params, place, scope, after, readable)
        if page is not None:
            return page
        try:
            return await _search_nearest(index, settings, params, place, filters, start, readable)
        except Cut as cut:
            sure = cut.rows
    return _cut_page(sure, params, scope, start, settings)


async def _search_sequences_of(
    index: Index, params: SearchParams, place: Place, scope: Scope, after: Start, most: int
) -> Page | None:
    """By reading the sequences that may have what is asked for; None where they have more than `most` pictures."""
    rows = await sort_all(index, NEAREST, scope, after, params.limit + 1, centre=place.centre, most=most)
    return None if rows is None else sorted_page(Found(rows=rows), params, NEAREST)


def _cut_page(sure: list[Row], params: SearchParams, scope: Scope, start: Position, settings: Settings) -> Page:
    """A page that ends early: what is not among these comes in the order of what is not among the nearest."""
    if not sure:
        raise refuse_searching(scope, settings.search_pictures_max)
    last = Around(start=start, rows=sure, near=len(sure)).after(len(sure) - 1)
    token = place_token(replace(last, served=settings.nearness_results), request_of(params), settings)
    return Page([(row, str(row["sequence"])) for row in sure], token)


async def _search_read(
    index: Index,
    settings: Settings,
    params: SearchParams,
    place: Place,
    filters: Filters,
    scope: Scope,
    start: Position,
) -> Page | None:
    """By reading all that may pass, where that is little: a few sequences, or what is around the centre."""
    wanted = params.limit + 1
    if scope.interval != ALWAYS or scope.of is not None or scope.narrow is not None:
        after = Start(after=(start.distance_m, start.id)) if start.served else BEGINNING
        few = min(settings.search_pictures_max, _FEW * wanted)
        page = await _search_sequences_of(index, params, place, scope, after, few)
        if page is not None:
            return page
    if filters.predicate is None or filters.predicate.tags:
        return None
    return await _search_sieved(index, settings, params, place, filters, start)


async def _search_sieved(
    index: Index, settings: Settings, params: SearchParams, place: Place, filters: Filters, start: Position
) -> Page | None:
    """By reading what is around the centre; None where the place is too large for it."""
    wanted = params.limit + 1
    left = settings.nearness_results - start.served
    near = wanted if wanted <= left + 1 else left
    found = await sieve(index, place, filters, start, near, most=settings.search_pictures_max)
    return None if found is None else place_page(Around(start=start, rows=found, near=near), params, settings, near)


async def _search_nearest(
    index: Index, settings: Settings, params: SearchParams, place: Place, filters: Filters, start: Position, most: int
) -> Page:
    """A page by nearness, which ends with the nearest: others are found in another way. Cut when `most` is too few."""
    left, wanted = settings.nearness_results - start.served, params.limit + 1
    near = wanted if wanted <= left + 1 else left
    found = await search_place(index, place, filters, start, near, settings.nearness_results, most)
    return place_page(found, params, settings, near)


async def _search_rest(
    index: Index, settings: Settings, params: SearchParams, scope: Scope, place: Place, start: Position
) -> Page:
    """What is not among the nearest, by sequence, rank and id, as far as may be read."""
    after = RankPosition(sequence=start.sequence, rank=start.rank, id=start.last_id)
    met = await walk_sequences(
        index, scope, after, params.limit + 1, farther_than=(start.distance_m, start.id), centre=place.centre,
        most=settings.search_pictures_max,
    )  # fmt: skip
    kept, here = met.rows[: params.limit], None
    if len(met.rows) > params.limit:
        here = replace(start, sequence=kept[-1]["n"], rank=kept[-1]["rank"], last_id=str(kept[-1]["id"]))
    elif met.after_sequence is not None:
        here = replace(start, sequence=met.after_sequence, rank=RANK_MAX, last_id=LAST_ID)
    token = None if here is None else place_token(here, request_of(params), settings)
    return Page([(row, str(row["sequence"])) for row in kept], token)
