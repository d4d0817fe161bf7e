"""What programs send to the routes of operators and administrators: small JSON objects, and numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from uuid import UUID

import orjson
from starlette.requests import Request

from catalog_api.edge.bodies import read_body
from catalog_api.edge.responses import BadRequest, NotFound

_BODY_MAX_BYTES = 20_000
_KEPT = "kept_body"
#: PostgreSQL's largest numbers of rows.
INT_MAX, BIGINT_MAX = 2**31 - 1, 2**63 - 1


async def receive_body(request: Request) -> None:
    """Read the body and keep it: before a connection is taken, which a slow sender must not hold."""
    request.scope[_KEPT] = await read_body(request, _BODY_MAX_BYTES)


def members_of(request: Request, *known: str) -> Mapping[str, object]:
    """The members of the kept body, {} without one; BadRequest for no object, or a member that nobody knows."""
    body: bytes = request.scope[_KEPT]
    if not body.strip():
        return {}
    try:
        members = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest("body", body.decode(errors="replace"), f"is no JSON: {error}") from error
    if not isinstance(members, dict):
        raise BadRequest("body", members, "is no JSON object")
    unknown = next((name for name in members if name not in known), None)
    if unknown is not None:
        raise BadRequest(unknown, members[unknown], f"is none of {', '.join(known)}")
    return members


def text_in(members: Mapping[str, object], field: str, *, most: int = 2_000, needed: bool = False) -> str:
    """A text among them, "" without one."""
    value = members.get(field, "")
    if value is None:
        value = ""
    if not isinstance(value, str) or len(value) > most or "\x00" in value:
        raise BadRequest(field, value, f"is not text of {most} characters at most")
    if needed and not value.strip():
        raise BadRequest(field, value, "is needed")
    return value.strip()


def number_in(members: Mapping[str, object], field: str, most: float) -> float | None:
    """A positive number among them, None without one.

    >>> number_in({"hours": 3}, "hours", 10), number_in({}, "hours", 10)
    (3.0, None)
    """
    value = members.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRequest(field, value, "is not a number")
    if not 0 < value <= most:
        raise BadRequest(field, value, f"is not above 0 and within {most:,g}")
    return float(value)


def uuid_in(members: Mapping[str, object], field: str) -> UUID:
    """The id of a picture or sequence among them."""
    text = text_in(members, field, needed=True)
    try:
        return UUID(text)
    except ValueError as error:
        raise BadRequest(field, text, "is not an id (a UUID)") from error


def row_number(text: str, most: int = INT_MAX) -> int:
    """The number of a row in an address; NotFound for anything else.

    >>> row_number("12")
    12
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= most):
        raise NotFound(f"there is nothing of the number {text[:60]!r}")
    return int(text)


def query_number(request: Request, name: str) -> int | None:
    """A whole number among the parameters, None without one; BadRequest below 1 or for anything else."""
    text = request.query_params.get(name, "")
    if not text:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and 1 <= int(text) <= BIGINT_MAX):
        raise BadRequest(name, text, "is not a whole number from 1")
    return int(text)


def query_limit(request: Request, most: int) -> int:
    """How many rows are asked for; more than the most counts as the most."""
    asked = query_number(request, "limit")
    return most if asked is None else min(asked, most)
