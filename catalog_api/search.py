"""Search: which walk answers which parameters, and the pages it comes in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime

import shapely

from catalog_api.index import Index
from catalog_api.nearness import Filters, Position, search_place
from catalog_api.params import SearchParams
from catalog_api.places import Place, place_of_box, place_of_geometry
from catalog_api.tokens import fingerprint, read_token, write_token
from catalog_api.walks import RankPosition, by_ids, by_sequences, newest
from federation.cells import Box
from federation.database import Row
from federation.queries import query
from federation.settings import Settings


@dataclass(frozen=True, slots=True)
class Page:
    """Pictures with their sequence's id, and the token of what follows."""

    pictures: list[tuple[Row, str]]
    token: str | None


async def search(index: Index, settings: Settings, params: SearchParams) -> Page:
    """One page of a search; BadRequest for a token that is not of this search."""
    if params.ids is not None:
        return await _search_ids(index, params)
    if params.box is not None or params.geometry is not None:
        if place_of(params).box.span_deg() <= settings.nearness_box_max_deg:
            return await _search_place(index, settings, params)
        # nobody means the middle of a continent: half a world is answered like the whole, the newest first
        return await _search_newest(index, params)
    if params.collections is not None:
        return await _search_sequences(index, params)
    return await _search_newest(index, params)


def _request(params: SearchParams) -> str:
    return fingerprint(replace(params, token=None, limit=0))


async def _search_ids(index: Index, params: SearchParams) -> Page:
    request, after = _request(params), 0
    if params.token is not None:
        _, (after,) = read_token(params.token, request, ids=(int,))
    rows = await by_ids(
        index,
        params.ids or (),
        after,
        params.limit + 1,
        interval=params.interval,
        collections=params.collections,
        ewkb=_ewkb(params),
    )
    kept = rows[: params.limit]
    token = write_token("ids", request, kept[-1]["position"]) if len(rows) > params.limit else None
    return Page([(row, str(row["sequence"])) for row in kept], token)


def _ewkb(params: SearchParams) -> bytes | None:
    if params.geometry is not None:
        return place_of_geometry(params.geometry).ewkb
    return None if params.box is None else ewkb_of_box(params.box)


def ewkb_of_box(box: Box) -> bytes:
    """A box as a geometry for PostGIS: two of them where it crosses the antimeridian."""
    shapes = shapely.MultiPolygon([shapely.box(each.west, each.south, each.east, each.north) for each in box.parts()])
    return bytes(shapely.to_wkb(shapely.set_srid(shapes, 4326), include_srid=True))


def place_of(params: SearchParams) -> Place:
    """Where the search looks."""
    if params.box is not None:
        return place_of_box(params.box)
    assert params.geometry is not None
    return place_of_geometry(params.geometry)


async def _search_place(index: Index, settings: Settings, params: SearchParams) -> Page:
    request, start = _request(params), Position()
    if params.token is not None:
        start = _position(params.token, request)
    filters = Filters(interval=params.interval)
    if params.collections is not None:
        known = await index.fetch(query("catalog_sequence_leaves"), params.collections)
        filters = replace(filters, sequences=tuple(row["n"] for row in known))
    found = await search_place(index, place_of(params), filters, start, params.limit + 1, settings.nearness_results)
    kept = found[: params.limit]
    token = _place_token(kept[-1][1], request, settings) if len(found) > params.limit else None
    return Page([(row, str(row["sequence"])) for row, _ in kept], token)


def _position(token: str, request: str) -> Position:
    kind, values = read_token(
        token, request, near=(int, float, uuid.UUID), rest=(int, float, uuid.UUID, int, int, uuid.UUID)
    )
    served, distance_m, identifier = values[:3]
    if kind == "near":
        return Position(served=served, distance_m=distance_m, id=identifier)
    return Position(
        served=served, distance_m=distance_m, id=identifier, sequence=values[3], rank=values[4], last_id=values[5]
    )


def _place_token(at: Position, request: str, settings: Settings) -> str:
    near = (at.served, at.distance_m, at.id)
    if at.served < settings.nearness_results:
        return write_token("near", request, *near)
    return write_token("rest", request, *near, at.sequence, at.rank, at.last_id)


async def _search_sequences(index: Index, params: SearchParams) -> Page:
    request, after = _request(params), RankPosition()
    if params.token is not None:
        _, (sequence, rank, identifier) = read_token(params.token, request, ranks=(int, int, uuid.UUID))
        after = RankPosition(sequence=sequence, rank=rank, id=identifier)
    found = await by_sequences(index, params.collections or (), after, params.limit + 1, params.interval)
    kept, token = found[: params.limit], None
    if len(found) > params.limit:
        at = kept[-1][2]
        token = write_token("ranks", request, at.sequence, at.rank, at.id)
    return Page([(row, sequence) for row, sequence, _ in kept], token)


async def _search_newest(index: Index, params: SearchParams) -> Page:
    request, after = _request(params), None
    if params.token is not None:
        _, (when, identifier) = read_token(params.token, request, newest=(datetime, uuid.UUID))
        after = (when, identifier)
    known = None
    if params.collections is not None:
        known = [row["n"] for row in await index.fetch(query("catalog_sequence_leaves"), params.collections)]
    rows = await newest(index, params.interval, after, params.limit + 1, ewkb=_ewkb(params), of=known)
    kept, token = rows[: params.limit], None
    if len(rows) > params.limit:
        token = write_token("newest", request, kept[-1]["datetime"].isoformat(), kept[-1]["id"])
    return Page([(row, str(row["sequence"])) for row in kept], token)
