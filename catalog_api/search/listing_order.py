"""Orders of sequences: what can be sorted by, and what "after this one" means in SQL."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog_api.edge.responses import BadRequest

_KEYS_MAX = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One key: the expression that is compared, of a type both SQL (`cast`) and tokens (`kind`) know."""

    name: str
    sql: str
    cast: str
    kind: type
    up: bool = True


def _date(column: str) -> str:
    """What has no date counts as older than everything, so that it can stand in a token and in an index."""
    return f"coalesce(s.{column}, '1000-01-01 00:00:00+00'::timestamptz)"


def _key(name: str, sql: str, cast: str, kind: type) -> SortKey:
    return SortKey(name=name, sql=sql, cast=cast, kind=kind)


_DATES = {"updated": "updated", "created": "created", "datetime": "datetime_max"}
#: By name. Those of dates and ids have an index; the others sort what the other parameters leave.
SORTABLE: dict[str, SortKey] = {
    "panofed:indexed": _key("panofed:indexed", "s.indexed", "timestamptz", datetime),
    **{name: _key(name, _date(column), "timestamptz", datetime) for name, column in _DATES.items()},
    # so much of a title fits into a token
    "title": _key("title", "left(s.title, 40)", "text", str),
    "stats:items": _key("stats:items", "s.pictures", "integer", int),
    "geovisio:length_km": _key("geovisio:length_km", "s.length_m", "float8", float),
    "id": _key("id", "s.id", "uuid", uuid.UUID),
}
_ALSO = {"ts": "datetime", "pictures": "stats:items", "length": "geovisio:length_km", "indexed": "panofed:indexed"}


def parse_order(text: str) -> tuple[SortKey, ...]:
    """Keys between commas, + or - before each. Always ends with the id, in the direction of the key before it.

    >>> [(key.name, key.up) for key in parse_order("title,-created")]
    [('title', True), ('created', False), ('id', False)]
    """
    keys: dict[str, SortKey] = {}
    for part in text.split(","):
        # a + that was not escaped in a query string arrives as a space
        sign, name = ("+", part.strip()) if part[:1] not in ("+", "-") else (part[0], part[1:].strip())
        key = SORTABLE.get(_ALSO.get(name, name))
        if key is None:
            raise BadRequest("sortby", text, f"{name[:60]!r} cannot be sorted by, only {', '.join(SORTABLE)}")
        keys.setdefault(key.name, replace(key, up=sign != "-"))
    if len(keys) > _KEYS_MAX:
        raise BadRequest("sortby", text, f"has more than {_KEYS_MAX} keys")
    last = next(reversed(keys.values()))
    keys.setdefault("id", replace(SORTABLE["id"], up=last.up))
    ordered = tuple(keys.values())
    return ordered[: list(keys).index("id") + 1]


def turned(key: SortKey) -> SortKey:
    """The same key the other way around."""
    return replace(key, up=not key.up)


def selected(order: Sequence[SortKey]) -> str:
    """The columns that hold the keys: key0, key1 ..."""
    return "".join(f", {key.sql} AS key{number}" for number, key in enumerate(order))


def order_by(order: Sequence[SortKey], table: str) -> str:
    """The terms of ORDER BY; `table` is s where the expressions can be computed, u where they are columns."""
    columns = [key.sql if table == "s" else f"{table}.key{number}" for number, key in enumerate(order)]
    return ", ".join(f"{column} {_way(key)}" for column, key in zip(columns, order, strict=True))


def _way(key: SortKey) -> str:
    return "ASC" if key.up else "DESC"


def after_position(order: Sequence[SortKey]) -> str:
    """What comes after a position: a condition with one {} for each key.

    In one direction it is a comparison of rows, which an index answers; else the first key bounds it.

    >>> after_position(parse_order("-updated"))
    "(coalesce(s.updated, '1000-01-01 00:00:00+00'::timestamptz), s.id) < ({0}::timestamptz, {1}::uuid)"
    >>> after_position(parse_order("stats:items,-id"))
    's.pictures >= {0}::integer AND (s.pictures > {0}::integer OR (s.pictures = {0}::integer AND s.id < {1}::uuid))'
    """
    first = order[0]
    if len({key.up for key in order}) == 1:
        values = ", ".join(f"{{{number}}}::{key.cast}" for number, key in enumerate(order))
        return f"({', '.join(key.sql for key in order)}) {'>' if first.up else '<'} ({values})"
    return f"{first.sql} {'>=' if first.up else '<='} {{0}}::{first.cast} AND ({_beyond(order, 0)})"


def _beyond(keys: Sequence[SortKey], number: int) -> str:
    key, value = keys[number], f"{{{number}}}::{keys[number].cast}"
    further = f"{key.sql} {'>' if key.up else '<'} {value}"
    if number == len(keys) - 1:
        return further
    inner = _beyond(keys, number + 1)
    return f"{further} OR ({key.sql} = {value} AND {f'({inner})' if ' OR ' in inner else inner})"
