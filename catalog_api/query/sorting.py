"""Orders of pictures: `sortby` read into keys; keys as ORDER BY, as the condition "after this one", as positions."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType, UnionType
from typing import Any

from catalog_api.edge.responses import BadRequest
from catalog_api.query.predicates import Predicate
from catalog_api.query.vocabulary import PICTURES
from federation.database import Row
from federation.queries import query

#: More keys than this order nothing further: one of them is the id.
_KEYS_MAX = 8
DISTANCE = "distance"


@dataclass(frozen=True, slots=True, kw_only=True)
class SortKey:
    """One key. `kind` is what its values are in a token, with None where a picture can lack it."""

    name: str
    sql: str
    cast: str
    kind: type | UnionType
    descending: bool = False

    @property
    def nullable(self) -> bool:
        """Whether a picture can lack it; those without come last, either way."""
        return isinstance(self.kind, UnionType)


_KEYS: Mapping[str, tuple[str, str, type | UnionType]] = MappingProxyType(
    {
        "id": ("picture_id", "uuid", uuid.UUID),
        "collection": ("picture_sequence_id", "uuid", uuid.UUID),
        "datetime": ("picture_datetime", "timestamptz", datetime),
        "created": ("picture_created", "timestamptz", datetime | None),
        "updated": ("picture_updated", "timestamptz", datetime | None),
        "panofed:indexed": ("picture_indexed", "timestamptz", datetime),
        "view:azimuth": ("picture_azimuth", "float8", float | None),
        "field_of_view": ("picture_field_of_view", "float8", float | None),
        "quality:horizontal_accuracy": ("picture_accuracy", "float8", float | None),
        "panoramax:horizontal_pixel_density": ("picture_pixel_density", "float8", float | None),
        "original_file:size": ("picture_original_bytes", "float8", float | None),
        "geovisio:rank_in_collection": ("picture_rank", "float8", float),
        DISTANCE: ("picture_distance", "float8", float),
    }
)
_ALIASES = MappingProxyType({"distance_to": DISTANCE})


def read_order(value: object) -> tuple[SortKey, ...] | None:
    """The keys of `sortby`, the id always last; None when it is not given.

    Text is "-datetime,+id"; a body may have [{"field": "datetime", "direction": "desc"}] too.

    >>> [(key.name, key.descending) for key in read_order("-properties.ts,created")]
    [('datetime', True), ('created', False), ('id', False)]
    """
    if value in (None, "", []):
        return None
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) > _KEYS_MAX:
        raise BadRequest("sortby", value, f"is not a list of up to {_KEYS_MAX} names")
    found: dict[str, SortKey] = {}
    for part in parts:
        name, descending = _direction(part)
        found.setdefault(_known(name), make_key(_known(name), descending=descending))
    keys = list(found.values())
    names = [key.name for key in keys]
    if "id" in names:
        # nothing is left to order after it
        return tuple(keys[: names.index("id") + 1])
    return (*keys, make_key("id"))


def make_key(name: str, *, descending: bool = False) -> SortKey:
    """The key of that name."""
    sql, cast, kind = _KEYS[name]
    return SortKey(name=name, sql=sql, cast=cast, kind=kind, descending=descending)


def _direction(part: object) -> tuple[str, bool]:
    if isinstance(part, dict) and isinstance(part.get("field"), str):
        direction = str(part.get("direction", "asc")).lower()
        if direction not in ("asc", "desc"):
            raise BadRequest("sortby", part.get("direction"), "direction is neither asc nor desc")
        return part["field"], direction == "desc"
    if not isinstance(part, str):
        raise BadRequest("sortby", part, "is neither a name nor {field, direction}")
    # a + that was not escaped in a query string arrives as a space
    text = part.strip()
    return (text[1:] if text[:1] in "+-" else text), text.startswith("-")


def _known(name: str) -> str:
    short = name.strip().removeprefix("properties.")
    short = _ALIASES.get(short, PICTURES.aliases.get(short, short))
    if short not in _KEYS:
        raise BadRequest("sortby", name[:100], f"cannot be sorted by {name[:100]!r}, only by {', '.join(_KEYS)}")
    return short


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order as SQL. Distances keep the mark `centre`: each statement has its own parameters for it."""

    keys: tuple[SortKey, ...]

    def expression(self, key: SortKey) -> str:
        """A key as SQL, with the type of its values in tokens."""
        return f"({query(key.sql)})::{key.cast}"

    def selected(self) -> str:
        """The keys as columns key0, key1, ..."""
        return ", ".join(f"{self.expression(key)} AS key{number}" for number, key in enumerate(self.keys))

    def by_columns(self) -> str:
        """ORDER BY of the columns of `selected`."""
        return ", ".join(
            f"key{number} {'DESC' if key.descending else 'ASC'} NULLS LAST" for number, key in enumerate(self.keys)
        )

    def marks(self, centre: str) -> Mapping[str, str]:
        """What stands for the marks of a statement; `centre` names its place."""
        return {
            "/* keys */ p.id AS key0": self.selected(),
            "/* order */ key0": self.by_columns(),
            "/* centre */": query(centre),
        }

    def after(self, position: Sequence[object]) -> Predicate:
        """What comes after a position."""
        arguments: list[object] = []
        choices: list[str] = []
        for number, key in enumerate(self.keys):
            if position[number] is None:
                # nothing comes after what lacks it
                continue
            equal = [self._equal(earlier, position[i], arguments) for i, earlier in enumerate(self.keys[:number])]
            choices.append(" AND ".join([*equal, self._beyond(key, position[number], arguments)]))
        return Predicate(" OR ".join(f"({choice})" for choice in choices) or "false", tuple(arguments))

    def at_or_after(self, value: object) -> Predicate:
        """What does not come before a value of the first key."""
        key = self.keys[0]
        return Predicate(f"{self.expression(key)} {'<=' if key.descending else '>='} $1::{key.cast}", (value,))

    def _equal(self, key: SortKey, value: object, arguments: list[object]) -> str:
        if value is None:
            return f"{self.expression(key)} IS NULL"
        arguments.append(value)
        return f"{self.expression(key)} = ${len(arguments)}::{key.cast}"

    def _beyond(self, key: SortKey, value: object, arguments: list[object]) -> str:
        arguments.append(value)
        sql = self.expression(key)
        test = f"{sql} {'<' if key.descending else '>'} ${len(arguments)}::{key.cast}"
        return f"({test} OR {sql} IS NULL)" if key.nullable else test

    def position(self, row: Row) -> tuple[Any, ...]:
        """Where a row stands."""
        return tuple(row[f"key{number}"] for number in range(len(self.keys)))

    def kinds(self) -> tuple[type | UnionType, ...]:
        """The types of a position."""
        return tuple(key.kind for key in self.keys)

    def sorted(self, rows: Sequence[Row]) -> list[Row]:
        """Rows of several statements in this order."""
        found = list(rows)
        for number, key in reversed(list(enumerate(self.keys))):
            column = f"key{number}"
            there = sorted(
                (row for row in found if row[column] is not None), key=lambda row: row[column], reverse=key.descending
            )
            found = there + [row for row in found if row[column] is None]
        return found


LATEST = Order(keys=(make_key("datetime", descending=True), make_key("id")))
