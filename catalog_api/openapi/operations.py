"""Every operation there is, described: what it takes and what it answers. A test holds it to the routes, both ways."""

from __future__ import annotations

from catalog_api.openapi import parameters as p
from catalog_api.openapi.desk_operations import DESK
from catalog_api.openapi.health_operations import HEALTH
from catalog_api.openapi.join_operations import JOIN, REGISTER
from catalog_api.openapi.operation import Operation, Response
from catalog_api.openapi.parameters import Parameter

JSON, GEOJSON, HTML = "application/json", "application/geo+json", "text/html"
SCHEMA_JSON, OPENAPI = "application/schema+json", "application/vnd.oai.openapi+json"


def _answer(description: str, media_type: str, schema: str, status: int = 200) -> tuple[int, Response]:
    return status, Response(description=description, content=((media_type, schema),))


def _get(summary: str, tag: str, schema: str, *takes: Parameter, media_type: str = JSON) -> Operation:
    found = any(each.where == "path" for each in takes)
    errors = (*((400,) if any(each.where == "query" for each in takes) else ()), *((404,) if found else ()))
    return Operation(
        summary=summary, tag=tag, takes=takes, answers=(_answer(summary, media_type, schema),), errors=errors
    )


def _redirect(summary: str, tag: str, *takes: Parameter) -> Operation:
    gone = Response(description="Redirect to the file at its instance")
    return Operation(summary=summary, tag=tag, takes=takes, answers=((302, gone),), errors=(404,))


def _tile(summary: str, tag: str, *takes: Parameter) -> Operation:
    nothing = Response(description="There is nothing in this tile")
    return Operation(
        summary=summary, tag=tag, takes=(*takes, p.Z, p.X, p.Y), errors=(404,),
        answers=(_answer("A vector tile", "application/vnd.mapbox-vector-tile", ""), (204, nothing)),
    )  # fmt: skip


_SEARCHED = (
    p.LIMIT_OF_SEARCH, p.BBOX, p.INTERSECTS, p.DATETIME, p.IDS, p.COLLECTIONS, p.PLACE_POSITION, p.PLACE_DISTANCE,
    p.PLACE_TOLERANCE, p.FILTER, p.FILTER_LANG, p.FILTER_CRS, p.SORTBY, p.WORDS, p.FIELDS, p.COUNT, p.FORMAT_OF_SEARCH,
    p.TOKEN,
)  # fmt: skip
_LISTED = (
    p.LIMIT_OF_COLLECTIONS, p.SORTBY, p.FILTER, p.FILTER_LANG, p.BBOX, p.DATETIME, p.WORDS, p.COUNT, p.TOKEN, p.PAGE,
)  # fmt: skip
_PICTURES = Response(
    description="Pictures",
    content=(
        (GEOJSON, "ItemCollection"),
        ("application/x-ndjson", ""),
        ("text/csv", ""),
    ),
)
_COLLECTIONS = Response(description="Sequences", content=((JSON, "Collections"), ("application/rss+xml", "")))
_OF_USER = Response(description="Sequences of one contributor", content=((JSON, "Collection"), ("text/csv", "")))
_CHANGES = Response(description="Changes", content=((JSON, "Changes"), ("text/event-stream", "")))
_LOGO = Response(
    description="A plain picture: the instance has no logo that can be shown", content=(("image/png", ""),)
)

#: By path, then by method.
OPERATIONS: dict[str, dict[str, Operation]] = {
    "/": {"GET": _get("A page for people", "about", "", media_type=HTML)},
    "/api": {"GET": _get("The landing page", "about", "Landing")},
    "/api/conformance": {"GET": _get("What this catalog conforms to", "about", "Conformance")},
    "/api/configuration": {"GET": _get("Name, licences and contact of this catalog", "about", "Configuration")},
    "/api/docs/specs.json": {"GET": _get("This document", "about", "", media_type=OPENAPI)},
    "/openapi.json": {"GET": _get("This document", "about", "", media_type=OPENAPI)},
    "/api/docs/swagger": {"GET": _get("This document as a page", "about", "", media_type=HTML)},
    "/api/stats": {"GET": _get("Figures of what is held", "about", "Stats")},
    "/api/live": {"GET": _get("Whether the database answers", "health", "Status")},
    "/api/ready": {"GET": _get("Whether this worker can work", "health", "Status")},
    "/metrics": {
        "GET": Operation(
            summary="Figures for Prometheus", tag="health", errors=(401, 403),
            answers=(_answer("Figures for Prometheus", "text/plain", ""),),
        )
    },
    "/api/collections": {
        "GET": Operation(
            summary="Sequences", tag="sequences", takes=(*_LISTED, p.SHOW_DELETED, p.FORMAT_OF_COLLECTIONS),
            answers=((200, _COLLECTIONS),), errors=(400,),
        )
    },
    "/api/collections/{sequence}": {"GET": _get("One sequence", "sequences", "Collection", p.SEQUENCE)},
    "/api/collections/{sequence}/items": {
        "GET": _get(
            "Its pictures by rank", "pictures", "ItemCollection", p.SEQUENCE, p.LIMIT_OF_ITEMS, p.BBOX, p.DATETIME,
            p.START_AFTER_RANK, p.WITH_PICTURE, p.FILTER, p.FILTER_LANG, p.FIELDS, p.TOKEN, media_type=GEOJSON,
        )
    },
    "/api/collections/{sequence}/items/{picture}": {
        "GET": _get("One picture", "pictures", "Item", p.SEQUENCE, p.PICTURE, media_type=GEOJSON)
    },
    "/api/collections/{sequence}/thumb.jpg": {
        "GET": _redirect("Thumbnail of its first picture", "sequences", p.SEQUENCE)
    },
    "/api/pictures/{picture}": {
        "GET": _get("One picture, wherever it is", "pictures", "Item", p.PICTURE, media_type=GEOJSON)
    },
    "/api/pictures/{picture}/{size}.jpg": {"GET": _redirect("A picture's file", "pictures", p.PICTURE, p.SIZE)},
    "/api/search": {
        "GET": Operation(
            summary="Search for pictures", tag="pictures", takes=_SEARCHED, answers=((200, _PICTURES),), errors=(400,)
        ),
        "POST": Operation(
            summary="Search for pictures", tag="pictures", answers=((200, _PICTURES),), errors=(400, 413), body="Search"
        ),
    },
    "/api/queryables": {
        "GET": _get("What pictures can be filtered by", "filters", "Queryables", media_type=SCHEMA_JSON)
    },
    "/api/collections/queryables": {
        "GET": _get("What sequences can be filtered by", "filters", "Queryables", media_type=SCHEMA_JSON)
    },
    "/api/collections/{sequence}/queryables": {
        "GET": _get(
            "What its pictures can be filtered by", "filters", "Queryables", p.SEQUENCE, media_type=SCHEMA_JSON
        )
    },
    "/api/map/{z}/{x}/{y}.mvt": {"GET": _tile("Grid, sequences and pictures", "maps")},
    "/api/map/2/{z}/{x}/{y}.mvt": {"GET": _tile("Hexagons at every zoom", "maps")},
    "/api/map/style.json": {"GET": _get("MapLibre style of the map", "maps", "Style")},
    "/api/map/tiles.json": {"GET": _get("TileJSON of the map", "maps", "TileJson")},
    "/api/map/2/tiles.json": {"GET": _get("TileJSON of the map with hexagons", "maps", "TileJson")},
    "/api/users/{user}/map/{z}/{x}/{y}.mvt": {"GET": _tile("Map of one contributor", "users", p.USER)},
    "/api/users/{user}/map/style.json": {"GET": _get("MapLibre style of that map", "users", "Style", p.USER)},
    "/api/users": {"GET": _get("Contributors", "users", "Users", p.LIMIT_OF_USERS, p.TOKEN, p.PAGE)},
    "/api/users/search": {
        "GET": _get("Contributors by name", "users", "FoundUsers", p.QUERY_OF_USERS, p.LIMIT_OF_FOUND_USERS)
    },
    "/api/users/{user}": {"GET": _get("One contributor", "users", "User", p.USER)},
    "/api/users/{user}/collection": {
        "GET": Operation(
            summary="Sequences of one contributor", tag="users", takes=(p.USER, *_LISTED, p.FORMAT_OF_USER),
            answers=((200, _OF_USER),), errors=(400, 404),
        )
    },
    "/api/users/{user}/catalog": {"GET": _get("The same as a catalog", "users", "Catalog", p.USER, *_LISTED)},
    "/api/instances": {"GET": _get("Who is in the federation", "instances", "Instances")},
    "/api/instances/{name}": {"GET": _get("One instance", "instances", "Instance", p.NAME)},
    "/api/instances/{name}/logo": {
        "GET": Operation(
            summary="Its logo", tag="instances", takes=(p.NAME,), errors=(404,),
            answers=((200, _LOGO), (302, Response(description="Redirect to the logo at the instance"))),
        )
    },
    "/api/instances/{name}/ping": {
        "POST": Operation(
            summary="Say that it changed: it is visited at once", tag="instances", takes=(p.NAME,), secured=True,
            answers=(_answer("It is due now", JSON, "Ping", 202),), errors=(401, 403, 404, 409, 429),
        )
    },
    "/api/changes": {
        "GET": Operation(
            summary="What changed since a token", tag="following",
            takes=(p.SINCE, p.LIMIT_OF_CHANGES, p.WAIT, p.FORMAT_OF_CHANGES), answers=((200, _CHANGES),),
            errors=(400, 410),
        )
    },
    "/api/exports": {
        "GET": Operation(
            summary="Manifest of the GeoParquet export", tag="following", errors=(404,),
            answers=(_answer("Manifest", JSON, "Manifest"),),
        )
    },
    "/api/exports/{file}": {
        "GET": Operation(
            summary="One file of the export", tag="following", takes=(p.FILE,), errors=(404, 416),
            answers=(
                _answer("The file", "application/vnd.apache.parquet", ""),
                _answer("A part of it", "application/vnd.apache.parquet", "", 206),
            ),
        )
    },
}  # fmt: skip
OPERATIONS |= DESK | HEALTH | JOIN
OPERATIONS["/api/instances"]["POST"] = REGISTER
