"""What clients ask for, checked: frozen values, or BadRequest naming the parameter and its value."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog_api.responses import BadRequest
from federation.cells import Box
from federation.settings import Settings

#: Raw values by parameter: text from a query string, JSON values from a body.
Raw = Mapping[str, Any]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: Leaving these out quietly would answer another question than the one asked.
_NOT_YET = ("filter", "query", "sortby", "place_position")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to `end`, both included; None is open."""

    start: datetime | None
    end: datetime | None


ALWAYS = Interval(None, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchParams:
    """One search. `boxes` and `geometry` are None without them; at most one of the two is there."""

    limit: int
    box: Box | None = None
    geometry: BaseGeometry | None = None
    ids: tuple[str, ...] | None = None
    collections: tuple[str, ...] | None = None
    interval: Interval = ALWAYS
    token: str | None = None


def search_params(raw: Raw, settings: Settings) -> SearchParams:
    """Read a search from its raw values."""
    for name in _NOT_YET:
        if raw.get(name) not in (None, "", [], {}):
            raise BadRequest(name, raw[name], "is not offered by this catalog")
    box = read_box(raw.get("bbox"))
    geometry = read_geometry(raw.get("intersects"), settings.geometry_vertices_max)
    if box is not None and geometry is not None:
        raise BadRequest("intersects", raw["intersects"], "give bbox or intersects, not both")
    return SearchParams(
        limit=read_limit(raw.get("limit"), settings.search_limit_default, settings.search_limit_max),
        box=box,
        geometry=geometry,
        ids=read_ids("ids", raw.get("ids"), settings.ids_max),
        collections=read_ids("collections", raw.get("collections"), settings.ids_max),
        interval=read_interval(raw.get("datetime")),
        token=read_token(raw.get("token")),
    )


def read_limit(value: object, default: int, most: int) -> int:
    """A whole number from 1 to `most`.

    >>> read_limit("5", 10, 100), read_limit(None, 10, 100)
    (5, 10)
    """
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.strip().lstrip("+-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest("limit", value, f"is not a whole number from 1 to {most}")
    if not 1 <= value <= most:
        raise BadRequest("limit", value, f"is outside 1..{most}")
    return value


def read_box(value: object) -> Box | None:
    """Four numbers, or six of which the heights are ignored; west > east crosses the antimeridian.

    >>> read_box("170,-20,-170,-10")
    Box(west=170.0, south=-20.0, east=-170.0, north=-10.0)
    >>> read_box([1, 2, 0, 3, 4, 9])
    Box(west=1.0, south=2.0, east=3.0, north=4.0)
    """
    if value is None or value == "":
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) not in (4, 6):
        raise BadRequest("bbox", value, "is not four or six numbers")
    numbers = [_coordinate("bbox", value, part) for part in parts]
    west, south, east, north = numbers if len(numbers) == 4 else (numbers[0], numbers[1], numbers[3], numbers[4])
    for longitude in (west, east):
        if not -180 <= longitude <= 180:
            raise BadRequest("bbox", value, f"longitude {longitude} is outside -180..180")
    for latitude in (south, north):
        if not -90 <= latitude <= 90:
            raise BadRequest("bbox", value, f"latitude {latitude} is outside -90..90")
    if south > north:
        raise BadRequest("bbox", value, f"south {south} is greater than north {north}")
    return Box(west, south, east, north)


def _coordinate(parameter: str, value: object, part: object) -> float:
    if isinstance(part, bool) or not isinstance(part, str | int | float):
        raise BadRequest(parameter, value, f"{part!r} is not a number")
    try:
        number = float(part)
    except (ValueError, OverflowError) as error:
        raise BadRequest(parameter, value, f"{str(part)[:40]!r} is not a number") from error
    if not math.isfinite(number):
        raise BadRequest(parameter, value, f"{part!r} is not a number")
    return number


def read_ids(parameter: str, value: object, most: int) -> tuple[str, ...] | None:
    """UUIDs from a comma list or an array, in their order, each once; an empty list asks for nothing.

    >>> read_ids("ids", "DC0820D3-7c2b-483e-bda1-ed6b79a2118f,", 10)
    ('dc0820d3-7c2b-483e-bda1-ed6b79a2118f',)
    """
    if value is None or value == "":
        return None
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, list):
        raise BadRequest(parameter, value, "is not a list of ids")
    found = tuple(dict.fromkeys(_uuid(parameter, part) for part in parts if part != ""))
    if len(found) > most:
        raise BadRequest(parameter, f"{len(found)} ids", f"more than {most} ids at once")
    return found


def _uuid(parameter: str, part: object) -> str:
    found = as_uuid(part) if isinstance(part, str) else None
    if found is None:
        raise BadRequest(parameter, part, f"{str(part)[:60]!r} is not a UUID")
    return found


def as_uuid(text: str) -> str | None:
    """The UUID in its usual form, or None.

    >>> as_uuid("DC0820D3-7c2b-483e-bda1-ed6b79a2118f")
    'dc0820d3-7c2b-483e-bda1-ed6b79a2118f'
    >>> as_uuid("x") is None
    True
    """
    return str(uuid.UUID(text)) if _UUID.fullmatch(text) else None


def read_interval(value: object) -> Interval:
    """An instant, a day, or an interval "a/b" whose ends may be open (".." or empty).

    >>> read_interval("2024-05-02T07:00:00Z/..").start
    datetime.datetime(2024, 5, 2, 7, 0, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return ALWAYS
    if not isinstance(value, str) or value.count("/") > 1 or len(value) > 100:
        raise BadRequest("datetime", value, "is not a date and time, or two of them with / between")
    if "/" not in value:
        return Interval(_instant(value, value, last=False), _instant(value, value, last=True))
    first, _, last = value.partition("/")
    start = None if first in ("", "..") else _instant(first, value, last=False)
    end = None if last in ("", "..") else _instant(last, value, last=True)
    if start is not None and end is not None and start > end:
        raise BadRequest("datetime", value, "ends before it starts")
    return Interval(start, end)


def _instant(text: str, value: str, *, last: bool) -> datetime:
    day = _DAY.fullmatch(text) is not None
    # a + that was not escaped in a query string arrives as a space
    for form in (text, re.sub(r" (?=\d\d:?\d\d$)", "+", text)):
        try:
            when = datetime.fromisoformat(form.upper())
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
            return when + timedelta(days=1, microseconds=-1) if day and last else when
        except (ValueError, OverflowError):
            continue
    raise BadRequest("datetime", value, f"{text!r} is not a date and time (RFC 3339, like 2024-05-02T07:10:00Z)")


def read_geometry(value: object, vertices_max: int) -> BaseGeometry | None:
    """A valid GeoJSON geometry in degrees, as an object or as text."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadRequest("intersects", value, f"is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadRequest("intersects", value, "is not a GeoJSON geometry")
    try:
        geometry = shape(value)
    except Exception as error:  # shapely raises whatever its parts raise
        raise BadRequest("intersects", value, f"is not a GeoJSON geometry: {error}") from error
    _check_geometry(geometry, value, vertices_max)
    return geometry


def _check_geometry(geometry: BaseGeometry, value: object, vertices_max: int) -> None:
    if geometry.is_empty:
        raise BadRequest("intersects", value, "is empty")
    vertices = int(shapely.get_num_coordinates(geometry))
    if vertices > vertices_max:
        raise BadRequest("intersects", value, f"has {vertices} vertices, more than {vertices_max}")
    bounds = geometry.bounds
    if not all(math.isfinite(number) for number in bounds):
        raise BadRequest("intersects", value, "has coordinates that are no numbers")
    if bounds[0] < -180 or bounds[2] > 180 or bounds[1] < -90 or bounds[3] > 90:
        raise BadRequest("intersects", value, "has coordinates outside -180..180, -90..90: cut it at the antimeridian")
    if not geometry.is_valid:
        raise BadRequest("intersects", value, f"is not valid: {shapely.is_valid_reason(geometry)}")


def read_token(value: object) -> str | None:
    """A token as text; its meaning is checked by who reads it."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadRequest("token", value, "is not a token of this catalog")
    return value


def read_rank(value: object) -> int | None:
    """A whole number that a rank can be compared with."""
    if value is None or value == "":
        return None
    text = str(value)
    if not re.fullmatch(r"[+-]?\d{1,10}", text) or abs(int(text)) > 2**31 - 1:
        raise BadRequest("startAfterRank", value, "is not a rank")
    return int(text)


def merged(query: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """A POST body's members."""
    try:
        members = orjson.loads(body) if body.strip() else {}
    except orjson.JSONDecodeError as error:
        raise BadRequest("body", body[:60].decode(errors="replace"), f"is not JSON: {error}") from error
    if not isinstance(members, dict):
        raise BadRequest("body", body[:60].decode(errors="replace"), "is not a JSON object")
    return members
