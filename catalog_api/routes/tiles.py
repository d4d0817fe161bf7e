"""Endpoints of maps: tiles of the three kinds, styles and TileJSON."""

from __future__ import annotations

from starlette.requests import Request

from catalog_api.edge.codings import preferred
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, NotFound, is_known, json_answer
from catalog_api.query.params import as_uuid
from catalog_api.state import catalog_of
from catalog_api.tiles.address import ZOOM_MAX, Tile
from catalog_api.tiles.content import Map, Wanted
from catalog_api.tiles.style import style, tilejson
from federation.queries import query

MVT = b"application/vnd.mapbox-vector-tile"
_DIGITS_MAX = 6


async def get_tile(request: Request) -> Answer:
    """GET /api/map/{z}/{x}/{y}.mvt: grid, sequences, pictures."""
    return await _tile(request, Wanted(Map.V1, _place(request)))


async def get_hexagon_tile(request: Request) -> Answer:
    """GET /api/map/2/{z}/{x}/{y}.mvt: hexagons at every zoom."""
    return await _tile(request, Wanted(Map.V2, _place(request)))


async def get_user_tile(request: Request) -> Answer:
    """GET /api/users/{user}/map/{z}/{x}/{y}.mvt: what one contributor made."""
    return await _tile(request, Wanted(Map.USER, _place(request), _user_of(request)))


async def get_style(request: Request) -> Answer:
    """GET /api/map/style.json."""
    catalog = catalog_of(request)
    return json_answer(style(catalog.writer(host_of(request)).base, catalog.settings.catalog_title))


async def get_user_style(request: Request) -> Answer:
    """GET /api/users/{user}/map/style.json."""
    catalog, user = catalog_of(request), _user_of(request)
    rows = await catalog.index.fetch(query("catalog_user"), user)
    if not rows:
        raise NotFound(f"there is no user '{user}'")
    return json_answer(style(catalog.writer(host_of(request)).base, rows[0]["name"], user))


async def get_tilejson(request: Request) -> Answer:
    """GET /api/map/tiles.json."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base
    return json_answer(tilejson(base, catalog.settings.catalog_title, hexagons=False))


async def get_hexagon_tilejson(request: Request) -> Answer:
    """GET /api/map/2/tiles.json."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base
    return json_answer(tilejson(base, catalog.settings.catalog_title, hexagons=True))


async def _tile(request: Request, wanted: Wanted) -> Answer:
    catalog = catalog_of(request)
    cache = catalog.settings.tile_cache_control.encode()
    version = await catalog.tiles.version(wanted)
    etag = f'W/"{version}"'.encode()
    if is_known(request.scope["headers"], etag):
        return Answer(status=304, media_type=MVT, cache=cache, headers=[(b"etag", etag)])
    made = await catalog.tiles.get(wanted, version)
    if made.is_empty:
        return Answer(status=204, media_type=MVT, cache=cache, headers=[(b"etag", etag)])
    body, coding = await made.body(preferred(request.headers.get("accept-encoding", "").encode()))
    return Answer(body=body, coding=coding, plain=True, media_type=MVT, cache=cache, validator=etag)


def _place(request: Request) -> Tile:
    """The tile of a path; 404 for one that is not of this world, as instances answer."""
    path = request.path_params
    numbers = [path[name] for name in ("z", "x", "y")]
    if all(len(each) <= _DIGITS_MAX and each.isascii() and each.isdigit() for each in numbers):
        z, x, y = map(int, numbers)
        if z > ZOOM_MAX:
            raise NotFound(f"there is no tile of zoom {z}: zooms are 0 to {ZOOM_MAX}")
        if x < 1 << z and y < 1 << z:
            return Tile(z, x, y)
    raise NotFound(f"there is no tile {'/'.join(each[:20] for each in numbers)!r}")


def _user_of(request: Request) -> str:
    text = request.path_params["user"]
    found = as_uuid(text)
    if found is None:
        raise NotFound(f"there is no user {text[:60]!r}")
    return found
