"""The parameters of every route, described once, for the OpenAPI document. Limits come from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from federation.settings import Settings

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter. `most` and `usual` name the settings of its maximum and default, where there are such."""

    name: str
    description: str
    schema: Schema
    where: str = "query"
    required: bool = False
    most: str = ""
    usual: str = ""
    example: Any = None
    extra: Schema = field(default_factory=dict)

    def described(self, settings: Settings) -> dict[str, Any]:
        """As the document has it."""
        schema = dict(self.schema)
        if self.most:
            schema["maximum"] = getattr(settings, self.most)
        if self.usual:
            schema["default"] = getattr(settings, self.usual)
        said = {"name": self.name, "in": self.where, "description": self.description, "schema": schema, **self.extra}
        if self.required:
            said["required"] = True
        return said if self.example is None else said | {"example": self.example}


_UUID: Schema = {"type": "string", "format": "uuid"}
_TEXT: Schema = {"type": "string"}
_COUNT: Schema = {"type": "integer", "minimum": 1}
_LIST: Schema = {"type": "array", "items": {"type": "string", "format": "uuid"}}
_COMMAS: Schema = {"style": "form", "explode": False}


def _limit(most: str, *, usual: str = "", default: int | None = None) -> Parameter:
    schema = _COUNT if default is None else {**_COUNT, "default": default}
    return Parameter(
        name="limit",
        description="Most on a page; more than the maximum counts as the maximum",
        schema=schema,
        most=most,
        usual=usual,
    )


def _path(name: str, description: str, schema: Schema = _UUID, example: Any = None) -> Parameter:
    return Parameter(name=name, description=description, schema=schema, where="path", required=True, example=example)


SEQUENCE = _path("sequence", "Id of a collection")
PICTURE = _path("picture", "Id of an item")
Z = _path("z", "Zoom, 0 to 15", schema={"type": "integer", "minimum": 0, "maximum": 15}, example=6)
X = _path("x", "Column of the tile from the west", schema={"type": "integer", "minimum": 0}, example=32)
Y = _path("y", "Row of the tile from the north", schema={"type": "integer", "minimum": 0}, example=22)
USER = _path("user", "Id of a contributor's account")
NAME = _path("name", "Name of an instance, or its stable id", _TEXT)
SIZE = _path("size", "Which file", {"type": "string", "enum": ["hd", "sd", "thumb"]})
FILE = _path("file", "Name of a file of the export, from its manifest", _TEXT)

LIMIT_OF_SEARCH = _limit("search_limit_max", usual="search_limit_default")
LIMIT_OF_ITEMS = _limit("items_limit_max", usual="items_limit_max")
LIMIT_OF_COLLECTIONS = _limit("collections_limit_max", default=100)
LIMIT_OF_USERS = Parameter(
    name="limit", description="Most on a page", schema={**_COUNT, "maximum": 1000, "default": 1000}
)
LIMIT_OF_FOUND_USERS = Parameter(name="limit", description="Most", schema={**_COUNT, "maximum": 100, "default": 100})
LIMIT_OF_CHANGES = _limit("changes_limit_max")
BBOX = Parameter(
    name="bbox",
    description="west,south,east,north in degrees, or six numbers of which the heights are ignored; west > east crosses"
    " the antimeridian",
    schema={"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6},
    extra=_COMMAS,
    example=[2.3, 48.8, 2.4, 48.9],
)
INTERSECTS = Parameter(
    name="intersects", description="A GeoJSON geometry, as text; not together with bbox", schema=_TEXT
)
DATETIME = Parameter(
    name="datetime",
    description="An instant, or an interval a/b of which one end may be open (..)",
    schema=_TEXT,
    example="2024-05-01T00:00:00Z/..",
)
IDS = Parameter(name="ids", description="Ids of items, between commas", schema=_LIST, extra=_COMMAS)
COLLECTIONS = Parameter(
    name="collections", description="Ids of collections, between commas", schema=_LIST, extra=_COMMAS
)
FILTER = Parameter(
    name="filter",
    description="A CQL2 condition over the queryables",
    schema=_TEXT,
    example="updated > '2024-05-01T00:00:00Z'",
)
FILTER_LANG = Parameter(
    name="filter-lang", description="What the filter is written in", schema={"enum": ["cql2-text", "cql2-json"]}
)
FILTER_CRS = Parameter(
    name="filter-crs",
    description="The only one there is",
    schema={"enum": ["http://www.opengis.net/def/crs/OGC/1.3/CRS84"]},
)
SORTBY = Parameter(
    name="sortby",
    description="Names between commas, - before what goes down",
    schema=_TEXT,
    example="-updated,+id",
)
WORDS = Parameter(name="q", description="Free text; any of those between commas", schema=_TEXT)
QUERY_OF_USERS = Parameter(
    name="q", description="Text that the name holds", required=True,
    schema={"type": "string", "minLength": 1, "maxLength": 200}, example="a",
)  # fmt: skip
FIELDS = Parameter(
    name="fields",
    description="Members of items to include, between commas, - before those to leave out",
    schema=_TEXT,
    example="id,geometry,-assets",
)
TOKEN = Parameter(name="token", description="Where the page before ended: from a link of that page", schema=_TEXT)
PAGE = Parameter(name="page", description="The same as token", schema=_TEXT)
COUNT = Parameter(name="count", description="exact: count all matches", schema={"enum": ["exact"]})
SHOW_DELETED = Parameter(
    name="show_deleted",
    description="Also what was served once and was taken back: id and status only",
    schema={"type": "boolean", "default": False},
)
FORMAT_OF_COLLECTIONS = Parameter(
    name="format", description="STAC, or a feed for feed readers", schema={"enum": ["json", "rss"], "default": "json"}
)
FORMAT_OF_USER = Parameter(
    name="format",
    description="STAC, page by page, or all of it as a table",
    schema={"enum": ["json", "csv"], "default": "json"},
)
FORMAT_OF_SEARCH = Parameter(
    name="format",
    description="STAC items, or plain rows",
    schema={"enum": ["json", "geojson", "ndjson", "csv"], "default": "json"},
)
START_AFTER_RANK = Parameter(name="startAfterRank", description="Begin after this rank", schema={"type": "integer"})
WITH_PICTURE = Parameter(name="withPicture", description="The page that holds this picture", schema=_UUID)
PLACE_POSITION = Parameter(
    name="place_position",
    description="longitude,latitude of a place: pictures that look at it, nearest first",
    schema=_TEXT,
    example="2.35,48.85",
)
PLACE_DISTANCE = Parameter(
    name="place_distance", description="min-max metres from the place", schema=_TEXT, example="3-15"
)
PLACE_TOLERANCE = Parameter(
    name="place_fov_tolerance",
    description="Degrees around the middle of the picture that the place has to be in",
    schema={"type": "number", "minimum": 2, "maximum": 180, "default": 30},
)
SINCE = Parameter(
    name="since", description="A token of this feed: what came after it; now: nothing but a token", schema=_TEXT
)
WAIT = Parameter(
    name="wait",
    description="Seconds to wait for a change when there is none yet",
    schema={"type": "number", "minimum": 0},
    most="changes_wait_max_s",
)
FORMAT_OF_CHANGES = Parameter(
    name="format", description="One page, or a stream of events", schema={"enum": ["json", "sse"]}
)
