"""Values in filters, checked: each becomes a Python value of the type its queryable has, or BadRequest names both."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

import shapely

from catalog_api.edge.responses import BadRequest
from catalog_api.query.params import as_uuid, geometry_of, parse_instant, read_box
from catalog_api.query.places import ewkb_of_box
from catalog_api.query.vocabulary import Queryable

#: Past either end of what PostgreSQL's `real` holds.
_REAL_MAX = 3.0e38
#: Past it, a float is no exact integer.
_WHOLE_MAX = 2.0**53
#: How a number between two integers is compared with integers.
_ROUNDED: Mapping[str, Callable[[float], int]] = MappingProxyType(
    {"<": math.ceil, ">=": math.ceil, "<=": math.floor, ">": math.floor}
)
#: Longer patterns, or with more wildcards, only make PostgreSQL search.
_PATTERN_MAX, _WILDCARDS_MAX = 200, 10


@dataclass(frozen=True, slots=True)
class Span:
    """From `start` to `end`, both included; None is open. An instant starts when it ends."""

    start: datetime | None
    end: datetime | None
    is_instant: bool = False


def refuse(parameter: str, name: str, value: object, problem: str) -> BadRequest:
    """The error that names a property and the value it cannot be compared with."""
    shown = str(value)[:80]
    return BadRequest(parameter, shown, f"{name}: {shown!r} {problem}")


def text_value(parameter: str, name: str, value: object) -> str:
    """Text, as PostgreSQL can hold it."""
    if not isinstance(value, str):
        raise refuse(parameter, name, value, "is not a text: put it in single quotes")
    if "\x00" in value:
        raise refuse(parameter, name, value, "has a NUL character")
    return value


def pattern_value(parameter: str, name: str, value: object) -> str:
    r"""A pattern for LIKE: % any text, _ any character, \ takes their meaning away."""
    pattern = text_value(parameter, name, value)
    if len(pattern) > _PATTERN_MAX or pattern.count("%") > _WILDCARDS_MAX:
        problem = f"is a pattern of more than {_PATTERN_MAX} characters or {_WILDCARDS_MAX} wildcards"
        raise refuse(parameter, name, value, problem)
    if (len(pattern) - len(pattern.rstrip("\\"))) % 2:
        raise refuse(parameter, name, value, r"ends with the escape character \, which must be written \\")
    return pattern


def plain_value(parameter: str, queryable: Queryable, value: object) -> Any:
    """A value for a queryable of text, number or id."""
    if queryable.kind == "text":
        return text_value(parameter, queryable.name, value)
    if queryable.kind == "uuid":
        found = as_uuid(value) if isinstance(value, str) else None
        if found is None:
            raise refuse(parameter, queryable.name, value, "is not a UUID")
        return found
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refuse(parameter, queryable.name, value, "is not a number")
    if not math.isfinite(value) or abs(value) > _REAL_MAX:
        raise refuse(parameter, queryable.name, value, "is too large")
    return float(value)


def whole_value(op: str, value: float) -> int | None:
    """The integer that integers compare with as they do with `value`; None where there is none.

    >>> whole_value("<=", 90.5), whole_value("<", 90.5), whole_value("=", 90.0), whole_value("=", 90.5)
    (90, 91, 90, None)
    """
    if abs(value) > _WHOLE_MAX:
        return None
    if value.is_integer():
        return int(value)
    return _ROUNDED[op](value) if op in _ROUNDED else None


def span_value(parameter: str, name: str, value: object) -> Span:
    """An instant, a day or an interval, as CQL2 literals; a plain text that is a date is taken as one."""
    if isinstance(value, dict) and list(value) == ["interval"]:
        ends = value["interval"]
        if not isinstance(ends, list) or len(ends) != 2:
            raise refuse(parameter, name, ends, "is not two ends")
        return _interval(parameter, name, ends)
    if isinstance(value, dict) and list(value) in (["timestamp"], ["date"]):
        kind, text = next(iter(value.items()))
        when, is_day = _when(parameter, name, text)
        if is_day is not (kind == "date"):
            raise refuse(parameter, name, text, f"is not a {kind}")
        return _span(when, is_day)
    return _span(*_when(parameter, name, value))


def _span(when: datetime, is_day: bool) -> Span:
    return Span(when, _last_of(when) if is_day else when, not is_day)


def _last_of(day: datetime) -> datetime:
    try:
        return day + timedelta(days=1, microseconds=-1)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _when(parameter: str, name: str, text: object) -> tuple[datetime, bool]:
    found = parse_instant(text) if isinstance(text, str) and len(text) < 60 else None
    if found is None:
        problem = "is not a date and time: write TIMESTAMP('2024-05-02T07:10:00Z') or DATE('2024-05-02')"
        raise refuse(parameter, name, text, problem)
    return found


def _interval(parameter: str, name: str, ends: list[Any]) -> Span:
    first, last = (None if end in ("..", "", None) else span_value(parameter, name, end) for end in ends)
    start = first.start if first else None
    end = last.end if last else None
    if start is not None and end is not None and start > end:
        raise refuse(parameter, name, ends, "ends before it starts")
    return Span(start, end)


def geometry_value(parameter: str, name: str, value: object, vertices_max: int) -> bytes:
    """A GeoJSON geometry or {"bbox": [...]} as EWKB."""
    if isinstance(value, dict) and list(value) == ["bbox"]:
        box = read_box(value["bbox"], parameter)
        if box is None:
            raise refuse(parameter, name, value, "is not a box")
        return ewkb_of_box(box)
    if not isinstance(value, dict) or "type" not in value:
        raise refuse(parameter, name, value, "is not a geometry")
    geometry = geometry_of(parameter, value, vertices_max)
    return bytes(shapely.to_wkb(shapely.set_srid(geometry, 4326), include_srid=True))
