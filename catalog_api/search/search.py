"""Search: which walk answers which parameters, and the pages it comes in."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog_api.index.index import Index
from catalog_api.query.params import ALWAYS
from catalog_api.query.places import Place, ewkb_of_box, place_of_box, place_of_geometry
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.scope import ANYTHING, Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.sorting import DISTANCE, LATEST, Order, make_key
from catalog_api.query.tokens import fingerprint, read_token, write_token
from catalog_api.search.nearness import NO_FILTERS, Around, Cut, Filters, Position, read_within, search_place
from catalog_api.search.sieving import sieve
from catalog_api.search.steady import walk_ids, walk_sequences
from catalog_api.search.tags import rarely_tagged, with_tags
from catalog_api.search.walking import (
    BEGINNING,
    Found,
    Start,
    refuse_searching,
    refuse_sorting,
    sort_all,
    walk,
    walk_of,
)
from catalog_api.search.walks import LAST_ID, RANK_MAX, RankPosition, by_ids, by_ids_sorted, by_sequences
from federation.cells import WORLD
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query
from federation.settings import Settings

#: What part of what may be read is read first where few may pass, then, then at last.
_SHARES = (100, 10, 1)
#: How many pictures may be read for each that is wanted, where a few sequences have all that may pass.
_FEW = 50
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
    return fingerprint(replace(params, token=None, limit=0, count=False, left_out=()))


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
    looking = params.looking.predicate() if params.looking is not None else None
    return both([params.predicate, looking, params.reached("p")])


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
        narrow=both([params.narrow, params.reached("s")]),
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
    filters = Filters(interval=params.interval, sequences=await _numbers(index, params), predicate=_predicate(params))
    place = place_of(params)
    if place.ewkb is not None or filters != NO_FILTERS or start.served >= settings.nearness_results:
        return await _search_few(index, settings, params, place, filters, start)
    found = await search_place(index, place, filters, start, params.limit + 1, settings.nearness_results)
    return _place_page(found, params, settings, params.limit + 1)


def _place_page(found: Around, params: SearchParams, settings: Settings, asked: int) -> Page:
    """The page of what was found when `asked` pictures were wanted: one more than it has, or the last by nearness."""
    kept, start = found.rows[: params.limit], found.start
    more = len(found.rows) == asked
    token = _place_token(found.after(len(kept) - 1), request_of(params), settings) if more else None
    before = start.served if start.served < settings.nearness_results else 0
    return Page([(row, str(row["sequence"])) for row in kept], token, at_least=before)


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
            page = await _search_tagged(index, settings, params, _NEAREST, after)
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
    rows = await sort_all(index, _NEAREST, scope, after, params.limit + 1, centre=place.centre, most=most)
    return None if rows is None else _sorted_page(Found(rows=rows), params, _NEAREST)


def _cut_page(sure: list[Row], params: SearchParams, scope: Scope, start: Position, settings: Settings) -> Page:
    """A page that ends early: what is not among these comes in the order of what is not among the nearest."""
    if not sure:
        raise refuse_searching(scope, settings.search_pictures_max)
    last = Around(start=start, rows=sure, near=len(sure)).after(len(sure) - 1)
    token = _place_token(replace(last, served=settings.nearness_results), request_of(params), settings)
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
    left = settings.nearness_results - start.served
    near = wanted if wanted <= left + 1 else left
    found = await sieve(index, place, filters, start, near, most=settings.search_pictures_max)
    return None if found is None else _place_page(Around(start=start, rows=found, near=near), params, settings, near)


async def _search_nearest(
    index: Index, settings: Settings, params: SearchParams, place: Place, filters: Filters, start: Position, most: int
) -> Page:
    """A page by nearness, which ends with the nearest: others are found in another way. Cut when `most` is too few."""
    left, wanted = settings.nearness_results - start.served, params.limit + 1
    near = wanted if wanted <= left + 1 else left
    found = await search_place(index, place, filters, start, near, settings.nearness_results, most)
    return _place_page(found, params, settings, near)


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
    token = None if here is None else _place_token(here, request_of(params), settings)
    return Page([(row, str(row["sequence"])) for row in kept], token)


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
        # what is not bounded at all is not even looked at: an order by id goes through the ids
        free = order.keys[0].name == "id" and scope == ANYTHING
        rows = None if free else await sort_all(index, order, scope, start, params.limit + 1, centre=centre, most=most)
        if rows is not None:
            return _sorted_page(Found(rows=rows), params, order)
        if order.keys[0].name != "id":
            raise refuse_sorting(order, most)
        return await _search_by_id(index, settings, params, order, scope, start)
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
    return _sorted_page(Found(rows=rows or []), params, order)


async def _search_by_id(
    index: Index, settings: Settings, params: SearchParams, order: Order, scope: Scope, start: Start
) -> Page:
    """All ids one after the other: at any size, though of what passes few pages are full."""
    after = start.after[0] if start.after else None
    met = await walk_ids(
        index, order, scope, after, params.limit + 1, collections=params.collections, centre=_centre(params),
        most=settings.search_pictures_max,
    )  # fmt: skip
    page = _sorted_page(Found(rows=met.rows), params, order)
    if page.token is None and met.after_id is not None:
        return replace(page, token=write_token("sorted", request_of(params), met.after_id))
    return page


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
