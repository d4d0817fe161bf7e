"""What a search asks, as the walks that find it take it."""

from __future__ import annotations

from dataclasses import replace

from catalog_api.index.index import Index
from catalog_api.query.places import Place, ewkb_of_box, place_of_box, place_of_geometry
from catalog_api.query.predicates import Predicate, both
from catalog_api.query.scope import Scope
from catalog_api.query.search_params import SearchParams
from catalog_api.query.tokens import fingerprint
from federation.queries import query


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


def ewkb_of(params: SearchParams) -> bytes | None:
    if params.geometry is not None:
        return place_of_geometry(params.geometry).ewkb
    return None if params.box is None else ewkb_of_box(params.box)


def centre_of(params: SearchParams) -> tuple[float, float] | None:
    if params.looking is not None:
        return params.looking.longitude, params.looking.latitude
    return place_of(params).centre if has_place(params) else None


async def numbers_of(index: Index, params: SearchParams) -> tuple[int, ...] | None:
    """Numbers of the sequences asked for."""
    if params.collections is None:
        return None
    return tuple(row["n"] for row in await index.fetch(query("catalog_sequence_leaves"), params.collections))


def predicate_of(params: SearchParams) -> Predicate | None:
    looking = params.looking.predicate() if params.looking is not None else None
    return both([params.predicate, looking, params.reached("p")])


async def scope_of(index: Index, params: SearchParams) -> Scope:
    """All that the parameters ask but ids and order."""
    ewkb = ewkb_of(params)
    if params.looking is not None and ewkb is None:
        ewkb = ewkb_of_box(params.looking.place(None).box)
    return Scope(
        interval=params.interval,
        ewkb=ewkb,
        of=await numbers_of(index, params),
        predicate=predicate_of(params),
        narrow=both([params.narrow, params.reached("s")]),
    )
