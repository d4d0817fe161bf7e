"""The fields extension: which members of an item a client wants, taken out of its bytes without parsing the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec
import orjson

from catalog_api.edge.responses import BadRequest
from federation.payload import join_object

#: What makes a valid item: the answer to a request that names nothing.
#: https://github.com/stac-api-extensions/fields#includeexclude-semantics
DEFAULT = (
    "type",
    "stac_version",
    "id",
    "collection",
    "geometry",
    "bbox",
    "links",
    "assets",
    "properties.datetime",
)
#: What an item is known by: never left out, and all there is besides the fields that are included.
_IDENTITY = ("type", "stac_version", "id", "collection")
#: Members of an item itself; any other name without a dot is one of its properties.
_TOP = frozenset(
    {"type", "stac_version", "stac_extensions", "id", "collection", "geometry", "bbox", "links", "assets", "properties"}
    | {"providers", "asset_templates"}
)
#: Each name costs a look at every item of the page.
_NAMES_MAX = 100
_NAME_LENGTH_MAX = 200

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Fields:
    """Names that are wanted (None: all), and names that are not. A name's parts are joined by dots."""

    included: tuple[str, ...] | None
    excluded: tuple[str, ...]

    def take(self, item: bytes) -> bytes:
        """The item with these members only; each keeps its own bytes.

        >>> item = b'{"type":"Feature","id":"a","bbox":[1,2],"properties":{"datetime":"x","exif":{"a":"1"},"b":2.50}}'
        >>> read_fields("properties.b,-bbox").take(item)
        b'{"type":"Feature","id":"a","properties":{"b":2.50}}'
        >>> read_fields("properties,-properties.exif").take(item)
        b'{"type":"Feature","id":"a","properties":{"datetime":"x","b":2.50}}'
        >>> read_fields("-properties.exif").take(item)
        b'{"type":"Feature","id":"a","bbox":[1,2],"properties":{"datetime":"x","b":2.50}}'
        """
        members: Mapping[str, bytes | msgspec.Raw] = _members.decode(item)
        picked = members if self.included is None else _pick(members, self.included)
        return join_object(_drop(picked, self.excluded), last="properties")


def _pick(members: Mapping[str, bytes | msgspec.Raw], names: Iterable[str]) -> dict[str, bytes | msgspec.Raw]:
    whole, parts = _sort_out(members, names)
    picked: dict[str, bytes | msgspec.Raw] = {}
    for key, value in members.items():
        if key in whole:
            picked[key] = value
        elif key in parts and (inner := _object(value)) is not None:
            picked[key] = join_object(_pick(inner, parts[key]), last="")
    return picked


def _drop(members: Mapping[str, bytes | msgspec.Raw], names: Iterable[str]) -> dict[str, bytes | msgspec.Raw]:
    whole, parts = _sort_out(members, names)
    left: dict[str, bytes | msgspec.Raw] = {}
    for key, value in members.items():
        if key in whole:
            continue
        inner = _object(value) if key in parts else None
        left[key] = value if inner is None else join_object(_drop(inner, parts[key]), last="")
    return left


def _sort_out(members: Mapping[str, object], names: Iterable[str]) -> tuple[set[str], dict[str, list[str]]]:
    """(members that are named, members of which a part is named). Keys may have dots themselves: those of exif do."""
    whole, parts = set[str](), dict[str, list[str]]()
    for name in names:
        if name in members:
            whole.add(name)
            continue
        head, _, rest = name.partition(".")
        if rest and head in members:
            parts.setdefault(head, []).append(rest)
    return whole, parts


def _object(value: bytes | msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    """The members of a value, None when it is no object."""
    return _members.decode(value) if bytes(value)[:1] == b"{" else None


def read_fields(value: object) -> Fields | None:
    """A comma list ("id,-properties.exif") or an object ({"include": [], "exclude": []}); None when it was not given.

    Without names it is what makes an item; with an inclusion that and nothing else; with exclusions only, all the rest.
    An empty inclusion beside exclusions means what makes an item without these. What is included and excluded is there.

    >>> read_fields(None) is None, read_fields("").included == DEFAULT
    (True, True)
    >>> read_fields({"exclude": ["geometry"]})
    Fields(included=None, excluded=('geometry',))
    >>> read_fields({"include": ["properties.exif", "bbox"], "exclude": ["bbox", "properties", "properties.exif.a"]})
    Fields(included=('type', 'stac_version', 'id', 'collection', 'properties.exif', 'bbox'), \
excluded=('properties.exif.a',))
    """
    if value is None:
        return None
    if isinstance(value, str):
        # a + that was not escaped in a query string arrives as a space
        names = [name for part in value.split(",") if (name := part.strip().removeprefix("+").strip())]
        include = [name for name in names if not name.startswith("-")]
        exclude = [name[1:] for name in names if name.startswith("-")]
        named = bool(include) or not exclude
    elif isinstance(value, dict):
        unknown = set(value) - {"include", "exclude"}
        if unknown:
            raise BadRequest("fields", value, f"has {sorted(unknown)[0]!r} besides include and exclude")
        include, exclude = (_names_in(value, key) for key in ("include", "exclude"))
        named = "include" in value or not exclude
    else:
        raise BadRequest("fields", value, "is neither a list of names nor an object with include and exclude")
    if len(include) + len(exclude) > _NAMES_MAX:
        raise BadRequest("fields", f"{len(include) + len(exclude)} names", f"more than {_NAMES_MAX} names")
    included = tuple(dict.fromkeys(_full_name(name, value) for name in include))
    # an inclusion holds against an exclusion of it, or of what it is a part of
    excluded = dict.fromkeys(_full_name(name, value) for name in exclude)
    kept = [name for name in excluded if not any(f"{each}.".startswith(f"{name}.") for each in (*included, *_IDENTITY))]
    wanted = dict.fromkeys([*_IDENTITY, *included]) if included else DEFAULT
    return Fields(tuple(wanted) if named else None, tuple(kept))


def _names_in(value: Mapping[str, object], key: str) -> list[str]:
    names = value.get(key)
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadRequest(f"fields.{key}", orjson.dumps(names, default=str).decode(), "is not a list of names")
    return names


def _full_name(name: str, value: object) -> str:
    """A name without its place is one of the properties.

    >>> _full_name("datetime", ""), _full_name("assets.hd", ""), _full_name("exif.Exif.Image.Make", "")
    ('properties.datetime', 'assets.hd', 'properties.exif.Exif.Image.Make')
    """
    name = name.strip()
    if not name or not name.isprintable() or len(name) > _NAME_LENGTH_MAX:
        raise BadRequest("fields", value, f"{name[:60]!r} is not a name")
    return name if name.partition(".")[0] in _TOP else f"properties.{name}"
