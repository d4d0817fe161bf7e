"""Tokens of keyset paging: where a page ended, bound to the request it belongs to. Opaque to clients."""

from __future__ import annotations

import base64
import binascii
import uuid
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, get_args

import orjson
import xxhash

from catalog_api.edge.responses import BadRequest

_VERSION = 1
#: Eight keys of a sort fit.
_LENGTH_MAX = 1_000


def fingerprint(*parts: object) -> str:
    """What binds a token to its request: paging with one search's token through another would skip and repeat.

    >>> fingerprint("a") == fingerprint("a"), fingerprint("a") == fingerprint("b")
    (True, False)
    """
    return xxhash.xxh32_hexdigest(orjson.dumps([str(part) for part in parts]))


def write_token(kind: str, request: str, *position: object) -> str:
    """A token saying that a page of `kind` ended at `position`.

    >>> read_back = read_token(write_token("near", "0", 1.5, 7), "0", near=(float, int))
    >>> read_back
    ('near', (1.5, 7))
    """
    text = orjson.dumps([_VERSION, kind, request, *position], default=str)
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_token(token: str, request: str, **kinds: tuple[type | UnionType, ...]) -> tuple[str, tuple[Any, ...]]:
    """(kind, position); BadRequest for anything this catalog did not write for this request.

    `kinds` names the kinds that can be, each with the types of its position: float, int, str, uuid.UUID, datetime, or
    one of them | None.
    """
    try:
        if len(token) > _LENGTH_MAX:
            raise ValueError("too long")
        parts = orjson.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
        version, kind, bound, *position = parts
        if version != _VERSION or not isinstance(kind, str):
            raise ValueError("another version")
        types = kinds[kind]
        values = tuple(_as(each, value) for each, value in zip(types, position, strict=True))
    except (ValueError, TypeError, KeyError, binascii.Error, OverflowError) as error:
        raise BadRequest("token", token, "is not a token of this catalog") from error
    if bound != request:
        raise BadRequest("token", token, "belongs to another request: repeat the parameters it was given for")
    return kind, values


def _as(kind: type | UnionType, value: object) -> object:
    if isinstance(kind, UnionType):
        return None if value is None else _as(next(each for each in get_args(kind) if each is not NoneType), value)
    if kind is uuid.UUID:
        return str(uuid.UUID(value)) if isinstance(value, str) else _refuse()
    if kind is datetime:
        when = datetime.fromisoformat(value) if isinstance(value, str) else _refuse()
        return when if when.tzinfo is not None else when.replace(tzinfo=UTC)
    if kind is float:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else _refuse()
    if kind is int:
        whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**31
        return value if whole else _refuse()
    return value if isinstance(value, kind) else _refuse()


def _refuse() -> Any:
    raise ValueError("of another type")
