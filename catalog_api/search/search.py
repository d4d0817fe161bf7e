"""Search: which walk answers which parameters, and the pages it comes in."""

from __future__ import annotations

import uuid
from dataclasses import replace

from catalog_api.index.index import Index
from catalog_api.query.predicates import both
from catalog_api.query.scope import Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.sorting import LATEST, Order
from catalog_api.query.tokens import read_token, write_token
from catalog_api.search.asked import centre_of, ewkb_of, has_place, numbers_of, place_of, predicate_of, request_of
from catalog_api.search.nearby import search_nearby
from catalog_api.search.nearness import Filters, Position, read_within
from catalog_api.search.ordered import search_sorted
from catalog_api.search.paging import Page, page_of, sorted_token
from catalog_api.search.walks import RankPosition, by_ids, by_ids_sorted, by_sequences
from federation.database import Row
from federation.leaves import LeafSet
from federation.settings import Settings


async def search(index: Index, settings: Settings, params: SearchParams) -> Page:
    """One page of a search; BadRequest for a token that is not of this search."""
    if params.ids is not None:
        page = await _search_ids(index, params)
    elif params.looking is not None and params.order is None:
        page = await _search_looking(index, params)
    elif params.order is not None:
        page = await search_sorted(index, settings, params, Order(keys=params.order))
    elif has_place(params) and place_of(params).box.span_deg() <= settings.nearness_box_max_deg:
        page = await search_nearby(index, settings, params)
    elif params.collections is not None and not has_place(params):
        page = await _search_sequences(index, params)
    else:
        # nobody means the middle of a continent: half a world is answered like the whole, the newest first
        page = await search_sorted(index, settings, params, LATEST)
    return _with_numbers(page, params)


def _with_numbers(page: Page, params: SearchParams) -> Page:
    """What this page shows of how many there are: nearness knows what was given before."""
    known = len(page.pictures) + page.at_least
    if page.token is None:
        whole = params.token is None or page.at_least > 0
        return replace(page, matched=known if whole else None, at_least=known)
    return replace(page, at_least=known + 1)


async def _search_ids(index: Index, params: SearchParams) -> Page:
    ids = params.ids or ()
    scope = Scope(interval=params.interval, ewkb=ewkb_of(params), predicate=predicate_of(params))
    if params.order is None:
        after = 0
        if params.token is not None:
            _, (after,) = read_token(params.token, request_of(params), ids=(int,))
        rows = await by_ids(index, ids, after, params.limit + 1, scope, collections=params.collections)
        return page_of(rows, params, lambda row: write_token("ids", request_of(params), row["position"]))
    order = Order(keys=params.order)
    if params.token is not None:
        _, position = read_token(params.token, request_of(params), sorted=order.kinds())
        scope = replace(scope, predicate=both([scope.predicate, order.after(position)]))
    rows = await by_ids_sorted(
        index, ids, order, params.limit + 1, scope, centre=centre_of(params), collections=params.collections
    )
    return page_of(rows, params, lambda row: sorted_token(request_of(params), order, row))


async def _search_looking(index: Index, params: SearchParams) -> Page:
    """The nearest first; what looks at a place is so near that all of it is read."""
    assert params.looking is not None
    after = Position()
    if params.token is not None:
        _, (distance_m, identifier) = read_token(params.token, request_of(params), looking=(float, uuid.UUID))
        after = Position(distance_m=distance_m, id=identifier)
    place = params.looking.place(ewkb_of(params))
    filters = Filters(
        interval=params.interval, sequences=await numbers_of(index, params), predicate=predicate_of(params)
    )

    async def work(leaves: LeafSet) -> list[Row]:
        return await read_within(index, leaves, place, filters, after, list(place.box.parts()), params.limit + 1)

    rows = await index.repeat(work)
    return page_of(rows, params, lambda row: write_token("looking", request_of(params), row["distance"], row["id"]))


async def _search_sequences(index: Index, params: SearchParams) -> Page:
    after = RankPosition()
    if params.token is not None:
        _, (sequence, rank, identifier) = read_token(params.token, request_of(params), ranks=(int, int, uuid.UUID))
        after = RankPosition(sequence=sequence, rank=rank, id=identifier)
    scope = Scope(interval=params.interval, predicate=predicate_of(params))
    found = await by_sequences(index, params.collections or (), after, params.limit + 1, scope)
    kept, token = found[: params.limit], None
    if len(found) > params.limit:
        at = kept[-1][2]
        token = write_token("ranks", request_of(params), at.sequence, at.rank, at.id)
    return Page([(row, sequence) for row, sequence, _ in kept], token)
