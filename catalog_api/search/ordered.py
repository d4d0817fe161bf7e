"""Searches in an order that was asked for: through sequences where those tell it, else by reading all of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from catalog_api.index.index import Index
from catalog_api.query.scope import ANYTHING, Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.sorting import Order
from catalog_api.query.tokens import read_token, write_token
from catalog_api.search.asked import centre_of, has_place, place_of, request_of, scope_of
from catalog_api.search.paging import Page, sorted_page
from catalog_api.search.steady import walk_ids
from catalog_api.search.tags import rarely_tagged, with_tags
from catalog_api.search.walking import (
    BEGINNING,
    Found,
    Start,
    refuse_sorting,
    sort_all,
    walk,
    walk_of,
)
from federation.cells import WORLD
from federation.settings import Settings


async def search_sorted(index: Index, settings: Settings, params: SearchParams, order: Order) -> Page:
    """In any order: through sequences where those tell it, else by reading all of it where that is little."""
    start = _start(params, order)
    tagged = await search_tagged(index, settings, params, order, start)
    if tagged is not None:
        return tagged
    scope = await scope_of(index, params)
    most, centre = settings.search_pictures_max, centre_of(params)
    if walk_of(order) is None:
        # what is not bounded at all is not even looked at: an order by id goes through the ids
        free = order.keys[0].name == "id" and scope == ANYTHING
        rows = None if free else await sort_all(index, order, scope, start, params.limit + 1, centre=centre, most=most)
        if rows is not None:
            return sorted_page(Found(rows=rows), params, order)
        if order.keys[0].name != "id":
            raise refuse_sorting(order, most)
        return await _search_by_id(index, settings, params, order, scope, start)
    return sorted_page(
        await walk(index, order, scope, start, params.limit + 1, centre=centre, most=most), params, order
    )


async def search_tagged(
    index: Index, settings: Settings, params: SearchParams, order: Order, start: Start
) -> Page | None:
    """By the index of tags, where what is asked for is rare; else None."""
    if params.predicate is None or not params.predicate.tags or start.at is not None:
        return None
    scope = await scope_of(index, params)
    box = place_of(params).box if has_place(params) else WORLD
    numbers = await rarely_tagged(
        index, params.predicate, box, scope, readable=settings.search_pictures_max, goes_on=start.after is not None
    )
    if numbers is None:
        return None
    scope = replace(scope, of=numbers, predicate=with_tags(scope.predicate))
    centre = centre_of(params)
    rows = await sort_all(index, order, scope, start, params.limit + 1, centre=centre, most=None)
    return sorted_page(Found(rows=rows or []), params, order)


async def _search_by_id(
    index: Index, settings: Settings, params: SearchParams, order: Order, scope: Scope, start: Start
) -> Page:
    """All ids one after the other: at any size, though of what passes few pages are full."""
    after = start.after[0] if start.after else None
    met = await walk_ids(
        index, order, scope, after, params.limit + 1, collections=params.collections, centre=centre_of(params),
        most=settings.search_pictures_max,
    )  # fmt: skip
    page = sorted_page(Found(rows=met.rows), params, order)
    if page.token is None and met.after_id is not None:
        return replace(page, token=write_token("sorted", request_of(params), met.after_id))
    return page


def _start(params: SearchParams, order: Order) -> Start:
    if params.token is None:
        return BEGINNING
    kind, position = read_token(params.token, request_of(params), sorted=order.kinds(), from_=(datetime,))
    return Start(after=position) if kind == "sorted" else Start(at=position[0])
