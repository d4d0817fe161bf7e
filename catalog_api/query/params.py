"""What clients ask for, checked: frozen values, or BadRequest naming the parameter and its value."""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from catalog_api.edge.bodies import check_depth
from catalog_api.edge.responses import BadRequest
from catalog_api.query.geojson import checked_geojson
from federation.cells import Box

#: Raw values by parameter: text from a query string, JSON values from a body.
Raw = Mapping[str, Any]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
#: a + that was not escaped in a query string arrives as a space
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,20})?([Zz]|[+ -]\d\d:\d\d)")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start` to `end`, both included; None is open."""

    start: datetime | None
    end: datetime | None


ALWAYS = Interval(None, None)


#: Lists that a query string may give in several parameters of one name, as instances take them.
_LISTS = frozenset({"bbox", "collections", "fields", "ids", "sortby"})


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parameters of a query string by name; a list that comes in several of one name is put together.

    >>> joined([("ids", "a"), ("limit", "3"), ("ids", "b"), ("limit", "4")])
    {'ids': 'a,b', 'limit': '4'}
    """
    asked: dict[str, str] = {}
    for name, value in pairs:
        asked[name] = f"{asked[name]},{value}" if name in _LISTS and name in asked else value
    return asked


def parts_of(value: object) -> object:
    """The parts of a list given as text: between commas, or in brackets as instances take it; else the value itself.

    >>> parts_of("1, 2"), parts_of('["a", "b"]'), parts_of("[a,'b']"), parts_of(7)
    (['1', '2'], ['a', 'b'], ['a', 'b'], 7)
    """
    if not isinstance(value, str):
        return value
    text = value.strip()
    if text.startswith("[") and text.endswith("]"):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            text = text[1:-1]
    return [part.strip().strip("'\"") for part in text.split(",")]


def read_limit(value: object, default: int, most: int) -> int:
    """A whole number from 1 on; more than `most` counts as `most`, as STAC API (Item Search, "limit") wants it.

    >>> read_limit("5", 10, 100), read_limit(None, 10, 100), read_limit(100_000, 10, 100)
    (5, 10, 100)
    """
    if value is None or value == "":
        return default
    if isinstance(value, str) and value.isascii() and value.strip().lstrip("+-").isdigit() and len(value) < 20:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadRequest("limit", value, f"is not a whole number from 1 to {most}")
    if value < 1:
        raise BadRequest("limit", value, f"is outside 1..{most}")
    return min(value, most)


def read_box(value: object, parameter: str = "bbox") -> Box | None:
    """Four numbers, or six of which the heights are ignored; west > east crosses the antimeridian.

    >>> read_box("170,-20,-170,-10")
    Box(west=170.0, south=-20.0, east=-170.0, north=-10.0)
    >>> read_box([1, 2, 0, 3, 4, 9])
    Box(west=1.0, south=2.0, east=3.0, north=4.0)
    """
    if value is None or value == "":
        return None
    # in brackets it is an error to STAC API (Item Search), and stac-api-validator asks for that
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) not in (4, 6):
        raise BadRequest(parameter, value, "is not four or six numbers")
    numbers = [coordinate(parameter, value, part) for part in parts]
    west, south, east, north = numbers if len(numbers) == 4 else (numbers[0], numbers[1], numbers[3], numbers[4])
    for longitude in (west, east):
        if not -180 <= longitude <= 180:
            raise BadRequest(parameter, value, f"longitude {longitude} is outside -180..180")
    for latitude in (south, north):
        if not -90 <= latitude <= 90:
            raise BadRequest(parameter, value, f"latitude {latitude} is outside -90..90")
    if south > north:
        raise BadRequest(parameter, value, f"south {south} is greater than north {north}")
    return Box(west, south, east, north)


def coordinate(parameter: str, value: object, part: object) -> float:
    """A finite number that is `part` of a parameter's value."""
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
    parts = parts_of(value)
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


def read_interval(value: object, *, days: bool = False) -> Interval:
    """An instant, or an interval "a/b" of which one end may be open (".." or empty).

    Instants are those of RFC 3339 and nothing else, as STAC API's item search wants it; with `days` also what ISO 8601
    knows besides, such as a day.

    >>> read_interval("2024-05-02T07:00:00Z/..").start
    datetime.datetime(2024, 5, 2, 7, 0, tzinfo=datetime.timezone.utc)
    >>> read_interval("2024-05-02", days=True).end
    datetime.datetime(2024, 5, 2, 23, 59, 59, 999999, tzinfo=datetime.timezone.utc)
    """
    if value is None or value == "":
        return ALWAYS
    if not isinstance(value, str) or value.count("/") > 1 or len(value) > 100:
        raise BadRequest("datetime", value, "is not a date and time, or two of them with / between")
    if "/" not in value:
        instant = _instant(value, value, days=days)
        return Interval(instant, _instant(value, value, days=days, last=True))
    first, _, last = value.partition("/")
    start = None if first in ("", "..") else _instant(first, value, days=days)
    end = None if last in ("", "..") else _instant(last, value, days=days, last=True)
    if start is None and end is None and not days:
        raise BadRequest("datetime", value, "is open at both ends: leave it out")
    if start is not None and end is not None and start > end:
        raise BadRequest("datetime", value, "ends before it starts")
    return Interval(start, end)


def _instant(text: str, value: str, *, days: bool, last: bool = False) -> datetime:
    found = parse_instant(text) if days or _RFC_3339.fullmatch(text) else None
    if found is None:
        raise BadRequest("datetime", value, f"{text!r} is not a date and time (RFC 3339, like 2024-05-02T07:10:00Z)")
    when, is_day = found
    return when + timedelta(days=1, microseconds=-1) if is_day and last else when


def parse_instant(text: str) -> tuple[datetime, bool] | None:
    """(the time in UTC, whether it is a whole day), or None.

    >>> parse_instant("2024-05-02T07:10:00+02:00"), parse_instant("yesterday")
    ((datetime.datetime(2024, 5, 2, 5, 10, tzinfo=datetime.timezone.utc), False), None)
    """
    # a + that was not escaped in a query string arrives as a space
    for form in (text, re.sub(r" (?=\d\d:?\d\d$)", "+", text)):
        try:
            when = datetime.fromisoformat(form.upper())
            when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        return when, _DAY.fullmatch(text) is not None
    return None


def read_geometry(value: object, vertices_max: int) -> BaseGeometry | None:
    """A valid GeoJSON geometry in degrees, as an object or as text."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise BadRequest("intersects", value, f"is not JSON: {error}") from error
    return geometry_of("intersects", value, vertices_max)


def geometry_of(parameter: str, value: object, vertices_max: int) -> BaseGeometry:
    """A GeoJSON object as a geometry that PostGIS can compare with."""
    members = checked_geojson(parameter, value, vertices_max)
    try:
        geometry = shape(members)
    except Exception as error:  # shapely raises whatever its parts raise
        raise BadRequest(parameter, value, f"is not a GeoJSON geometry: {str(error)[:200]}") from error
    _check_geometry(parameter, geometry, value)
    return geometry


def _check_geometry(parameter: str, geometry: BaseGeometry, value: object) -> None:
    if geometry.is_empty:
        raise BadRequest(parameter, value, "is empty")
    bounds = geometry.bounds
    if not all(math.isfinite(number) for number in bounds):
        raise BadRequest(parameter, value, "has coordinates that are no numbers")
    if bounds[0] < -180 or bounds[2] > 180 or bounds[1] < -90 or bounds[3] > 90:
        raise BadRequest(parameter, value, "has coordinates outside -180..180, -90..90: cut it at the antimeridian")
    if not geometry.is_valid:
        raise BadRequest(parameter, value, f"is not valid: {shapely.is_valid_reason(geometry)}")


def read_token(value: object) -> str | None:
    """A token as text; its meaning is checked by who reads it."""
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise BadRequest("token", value, "is not a token of this catalog")
    return value


def read_count(value: object) -> bool:
    """Whether all matches are to be counted.

    >>> read_count("exact"), read_count(None)
    (True, False)
    """
    if value in (None, ""):
        return False
    if value != "exact":
        raise BadRequest("count", value, "is not exact")
    return True


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
    check_depth(members, body)
    if isinstance(members.get("bbox"), str):
        # the form of a query string; STAC API's item search knows it in a body as an array only
        raise BadRequest("bbox", members["bbox"], "is not an array of numbers")
    if "fields" in members and members["fields"] is None:
        raise BadRequest("fields", None, "is not an object with include and exclude")
    return members
