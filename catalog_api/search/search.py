"""Search: which walk answers which parameters, and the pages it comes in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog_api.index.index import Index
from catalog_api.query.places import Place, ewkb_of_box, place_of_box, place_of_geometry
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.scope import Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.sorting import DISTANCE, LATEST, Order, make_key
from catalog_api.query.tokens import fingerprint, read_token, write_token
from catalog_api.search.nearness import Filters, Position, read_within, search_place
from catalog_api.search.tags import rarely_tagged, with_tags
from catalog_api.search.walking import BEGINNING, Found, Start, sort_all, walk, walk_of
from catalog_api.search.walks import RankPosition, by_ids, by_ids_sorted, by_sequences
from federation.cells import WORLD
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query
from federation.settings import Settings

_NEAREST = Order(keys=(make_key(DISTANCE), make_key("id")))


@dataclass(frozen=True, slots=True)
class Page:
    """Pictures with their sequence's id, and the token of what follows.

    `matched` is how many match in all, where this page shows it; `at_least` is how many are known to.
    """

    pictures: list[tuple[Row, str]]
    token: str | None
    matched: int | None = None
    at_least: int = 0


async def search(index: Index, settings: Settings, params: SearchParams) -> Page:
    """One page of a search; BadRequest for a token that is not of this search."""
    if params.ids is not None:
        page = await _search_ids(index, params)
    elif params.looking is not None and params.order is None:
        page = await _search_looking(index, params)
    elif params.order is not None:
        page = await _search_sorted(index, settings, params, Order(keys=params.order))
    elif has_place(params) and place_of(params).box.span_deg() <= settings.nearness_box_max_deg:
        page = await _search_place(index, settings, params)
    elif params.collections is not None and not has_place(params):
        page = await _search_sequences(index, params)
    else:
        # nobody means the middle of a continent: half a world is answered like the whole, the newest first
        page = await _search_sorted(index, settings, params, LATEST)
    return _with_numbers(page, params)


def _with_numbers(page: Page, params: SearchParams) -> Page:
    """What this page shows of how many there are: nearness knows what was given before."""
    known = len(page.pictures) + page.at_least
    if page.token is None:
        whole = params.token is None or page.at_least > 0
        return replace(page, matched=known if whole else None, at_least=known)
    return replace(page, at_least=known + 1)


def request_of(params: SearchParams) -> str:
    """What binds a token to its search."""
    return fingerprint(replace(params, token=None, limit=0, count=False))


def has_place(params: SearchParams) -> bool:
    """Whether a box or geometry was asked for."""
    return params.box is not None or params.geometry is not None


def place_of(params: SearchParams) -> Place:
    """Where the search looks."""
    if params.box is not None:
        return place_of_box(params.box)
    assert params.geometry is not None
    return place_of_geometry(params.geometry)


def _ewkb(params: SearchParams) -> bytes | None:
    if params.geometry is not None:
        return place_of_geometry(params.geometry).ewkb
    return None if params.box is None else ewkb_of_box(params.box)


def _centre(params: SearchParams) -> tuple[float, float] | None:
    if params.looking is not None:
        return params.looking.longitude, params.looking.latitude
    return place_of(params).centre if has_place(params) else None


async def _numbers(index: Index, params: SearchParams) -> tuple[int, ...] | None:
    """Numbers of the sequences asked for."""
    if params.collections is None:
        return None
    return tuple(row["n"] for row in await index.fetch(query("catalog_sequence_leaves"), params.collections))


def _predicate(params: SearchParams) -> Predicate | None:
    return both([params.predicate, params.looking.predicate() if params.looking is not None else None])


async def scope_of(index: Index, params: SearchParams) -> Scope:
    """All that the parameters ask but ids and order."""
    ewkb = _ewkb(params)
    if params.looking is not None and ewkb is None:
        ewkb = ewkb_of_box(params.looking.place(None).box)
    return Scope(
        interval=params.interval,
        ewkb=ewkb,
        of=await _numbers(index, params),
        predicate=_predicate(params),
        narrow=params.narrow,
    )


async def _search_ids(index: Index, params: SearchParams) -> Page:
    request, ids = request_of(params), params.ids or ()
    scope = Scope(interval=params.interval, ewkb=_ewkb(params), predicate=_predicate(params))
    if params.order is None:
        after = 0
        if params.token is not None:
            _, (after,) = read_token(params.token, request, ids=(int,))
        rows = await by_ids(index, ids, after, params.limit + 1, scope, collections=params.collections)
        return _page(rows, params, lambda row: write_token("ids", request, row["position"]))
    order = Order(keys=params.order)
    if params.token is not None:
        _, position = read_token(params.token, request, sorted=order.kinds())
        scope = replace(scope, predicate=both([scope.predicate, order.after(position)]))
    rows = await by_ids_sorted(
        index, ids, order, params.limit + 1, scope, centre=_centre(params), collections=params.collections
    )
    return _page(rows, params, lambda row: _sorted_token(request, order, row))


async def _search_place(index: Index, settings: Settings, params: SearchParams) -> Page:
    request, start = request_of(params), Position()
    if params.token is not None:
        kind, values = read_token(params.token, request, **_POSITIONS)
        if kind == "sorted":
            return await _search_sorted(index, settings, params, _NEAREST)
        start = _position(kind, values)
    else:
        tagged = await _search_tagged(index, settings, params, _NEAREST, BEGINNING)
        if tagged is not None:
            return tagged
    filters = Filters(interval=params.interval, sequences=await _numbers(index, params), predicate=_predicate(params))
    found = await search_place(index, place_of(params), filters, start, params.limit + 1, settings.nearness_results)
    more = len(found.rows) > params.limit
    token = _place_token(found.after(params.limit - 1), request, settings) if more else None
    before = start.served if start.served < settings.nearness_results else 0
    return Page([(row, str(row["sequence"])) for row in found.rows[: params.limit]], token, at_least=before)


#: Types of what tokens of a place hold.
_POSITIONS = {
    "near": (int, float, uuid.UUID),
    "rest": (int, float, uuid.UUID, int, int, uuid.UUID),
    "sorted": _NEAREST.kinds(),
}


def _position(kind: str, values: Sequence[object]) -> Position:
    served, distance_m, identifier = values[:3]
    assert isinstance(served, int) and isinstance(distance_m, float) and isinstance(identifier, str)
    near = Position(served=served, distance_m=distance_m, id=identifier)
    if kind == "near":
        return near
    sequence, rank, last_id = values[3:]
    assert isinstance(sequence, int) and isinstance(rank, int) and isinstance(last_id, str)
    return replace(near, sequence=sequence, rank=rank, last_id=last_id)


def _place_token(at: Position, request: str, settings: Settings) -> str:
    near = (at.served, at.distance_m, at.id)
    if at.served < settings.nearness_results:
        return write_token("near", request, *near)
    return write_token("rest", request, *near, at.sequence, at.rank, at.last_id)


async def _search_looking(index: Index, params: SearchParams) -> Page:
    """The nearest first; what looks at a place is so near that all of it is read."""
    assert params.looking is not None
    request, after = request_of(params), Position()
    if params.token is not None:
        _, (distance_m, identifier) = read_token(params.token, request, looking=(float, uuid.UUID))
        after = Position(distance_m=distance_m, id=identifier)
    place = params.looking.place(_ewkb(params))
    filters = Filters(interval=params.interval, sequences=await _numbers(index, params), predicate=_predicate(params))

    async def work(leaves: LeafSet) -> list[Row]:
        return await read_within(index, leaves, place, filters, after, list(place.box.parts()), params.limit + 1)

    rows = await index.repeat(work)
    return _page(rows, params, lambda row: write_token("looking", request, row["distance"], row["id"]))


async def _search_sequences(index: Index, params: SearchParams) -> Page:
    request, after = request_of(params), RankPosition()
    if params.token is not None:
        _, (sequence, rank, identifier) = read_token(params.token, request, ranks=(int, int, uuid.UUID))
        after = RankPosition(sequence=sequence, rank=rank, id=identifier)
    scope = Scope(interval=params.interval, predicate=_predicate(params))
    found = await by_sequences(index, params.collections or (), after, params.limit + 1, scope)
    kept, token = found[: params.limit], None
    if len(found) > params.limit:
        at = kept[-1][2]
        token = write_token("ranks", request, at.sequence, at.rank, at.id)
    return Page([(row, sequence) for row, sequence, _ in kept], token)


async def _search_sorted(index: Index, settings: Settings, params: SearchParams, order: Order) -> Page:
    """In any order: through sequences where those tell it, else by reading all of it where that is little."""
    start = _start(params, order)
    tagged = await _search_tagged(index, settings, params, order, start)
    if tagged is not None:
        return tagged
    scope = await scope_of(index, params)
    most, centre = settings.search_pictures_max, _centre(params)
    if walk_of(order) is None:
        rows = await sort_all(index, order, scope, start, params.limit + 1, centre=centre, most=most)
        return _sorted_page(Found(rows=rows), params, order)
    return _sorted_page(
        await walk(index, order, scope, start, params.limit + 1, centre=centre, most=most), params, order
    )


async def _search_tagged(
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
    centre = _centre(params)
    rows = await sort_all(index, order, scope, start, params.limit + 1, centre=centre, most=None)
    return _sorted_page(Found(rows=rows), params, order)


def _start(params: SearchParams, order: Order) -> Start:
    if params.token is None:
        return BEGINNING
    kind, position = read_token(params.token, request_of(params), sorted=order.kinds(), from_=(datetime,))
    return Start(after=position) if kind == "sorted" else Start(at=position[0])


def _sorted_page(found: Found, params: SearchParams, order: Order) -> Page:
    request = request_of(params)
    page = _page(found.rows, params, lambda row: _sorted_token(request, order, row))
    if page.token is None and found.goes_on_at is not None:
        return replace(page, token=write_token("from_", request, found.goes_on_at.isoformat()))
    return page


def _sorted_token(request: str, order: Order, row: Row) -> str:
    values = (each.isoformat() if isinstance(each, datetime) else each for each in order.position(row))
    return write_token("sorted", request, *values)


def _page(rows: list[Row], params: SearchParams, token_after: Callable[[Row], str]) -> Page:
    kept = rows[: params.limit]
    token = token_after(kept[-1]) if len(rows) > params.limit else None
    return Page([(row, str(row["sequence"])) for row in kept], token)
