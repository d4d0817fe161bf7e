"""Answers: bytes with an ETag, compressed as the client likes, open to every origin; and what each error looks like."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
import xxhash

from catalog_api.edge.codings import COMPRESS_FROM_BYTES, preferred
from federation.errors import (
    ActRefused,
    DatabaseError,
    PanofedError,
    QueryTooLong,
    RegistrationRefused,
    TakedownRefused,
)
from federation.politeness import WrongChoice

logger = logging.getLogger(__name__)

JSON = b"application/json"
GEOJSON = b"application/geo+json"
HTML = b"text/html; charset=utf-8"

_RETRY_AFTER_S = b"5"
#: Answers may be kept, but are asked for again each time: a hidden picture goes with the harvest that learnt of it.
_REVALIDATE = b"public, max-age=0, must-revalidate"
_NO_STORE = b"no-store"
#: Letters of a wrong value that its error repeats.
_SHOWN_MAX = 200

Headers = Sequence[tuple[bytes, bytes]]

_CORS: list[tuple[bytes, bytes]] = [
    (b"access-control-allow-origin", b"*"),
    (
        b"access-control-expose-headers",
        b"ETag, Content-Length, Location, Retry-After, Link, X-Request-Id, RateLimit, RateLimit-Policy",
    ),
]
_PRIVATE: list[tuple[bytes, bytes]] = [
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"Cookie, Authorization"),
]
PREFLIGHT: list[tuple[bytes, bytes]] = [
    (b"access-control-allow-headers", b"*, Authorization, Content-Type, If-None-Match, Range"),
    (b"access-control-max-age", b"86400"),
]


class BadRequest(PanofedError):
    """A parameter that cannot be used; `details` names it and its value."""

    def __init__(self, parameter: str, value: object, problem: str) -> None:
        super().__init__(f"{parameter}: {problem}")
        kept = value if isinstance(value, int | float | bool | None) else self.shown(value)
        self.details: dict[str, Any] = {"parameter": parameter, "value": kept, "problem": problem}

    @staticmethod
    def shown(value: object) -> str:
        """The beginning of a value as its client wrote it.

        >>> BadRequest.shown("a" * 300) == "a" * 200, BadRequest.shown({"op": None})
        (True, '{"op":null}')
        """
        if isinstance(value, str):
            return value[:_SHOWN_MAX]
        try:
            return orjson.dumps(value, default=str)[:_SHOWN_MAX].decode(errors="ignore")
        except TypeError:  # too deep to be written
            return f"a {type(value).__name__}"


class NotFound(PanofedError):
    """What was asked for is not here."""


class Unknown(PanofedError):
    """Nobody is known by what was shown, or nothing was shown."""


class Forbidden(PanofedError):
    """Whoever it is may not do this, or did not ask for it from one of our own pages."""


class TooHasty(PanofedError):
    """This client was wrong too often: it is not listened to for `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"too many wrong secrets from here: come again in {wait_s} s")
        self.wait_s = wait_s


class TooBusy(PanofedError):
    """This worker has enough to do; the client may come again."""


class BodyTooLarge(PanofedError):
    """The request's body is larger than this catalog reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an endpoint returns. `chunks`, where given, is sent instead of `body` as it comes.

    `validator` is the ETag of such a stream, whose bytes are not known beforehand, or of what has a version of its own;
    other answers get theirs from the body.
    """

    body: bytes = b""
    status: int = 200
    media_type: bytes = JSON
    cache: bytes = _REVALIDATE
    headers: Headers = ()
    chunks: AsyncIterator[bytes] | None = None
    validator: bytes = b""
    #: never compressed on its way: events must not wait for more, ranges are of the file as it is
    plain: bool = False
    #: which coding the body is in already
    coding: bytes = b""
    #: for whom it is made and nobody else: no other origin reads it, nobody keeps it, and it has no ETag
    private: bool = False


def json_answer(value: object, *, status: int = 200, media_type: bytes = JSON, cache: bytes = _REVALIDATE) -> Answer:
    """A small JSON document."""
    return Answer(body=orjson.dumps(value, default=_plain), status=status, media_type=media_type, cache=cache)


def _plain(value: object) -> str:
    # the driver's own kind of UUID
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"a {type(value).__name__} has no form in JSON")


def error_answer(status: int, message: str, details: object = None, headers: Headers = ()) -> Answer:
    """An error as every route answers it."""
    body = orjson.dumps({"status": status, "status_code": status, "message": message, "details": details})
    return Answer(body=body, status=status, cache=_NO_STORE, headers=headers)


#: What is wrong in one way, by kind of error.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (NotFound, 404),
    (Unknown, 401),
    (Forbidden, 403),
    (ActRefused, 409),
    (RegistrationRefused, 409),
    (TakedownRefused, 409),
    (TooHasty, 429),
    (BodyTooLarge, 413),
)


def _headers_of(error: Exception) -> Headers:
    if isinstance(error, Unknown):
        return [(b"www-authenticate", b'Bearer realm="panofed"')]
    return [(b"retry-after", b"%d" % error.wait_s)] if isinstance(error, TooHasty) else ()


def explain(error: Exception) -> Answer:
    """The answer for an error: one table, the same on every route."""
    if isinstance(error, WrongChoice):
        error = BadRequest(error.field, error.value, error.problem)
    if isinstance(error, BadRequest):
        return error_answer(400, str(error), error.details)
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            return error_answer(status, str(error), headers=_headers_of(error))
    if isinstance(error, RecursionError):
        return error_answer(400, "the request is nested too deeply")
    if isinstance(error, TooBusy | DatabaseError):
        if not isinstance(error, TooBusy | QueryTooLong):
            logger.warning("the index does not answer: %s", error, extra={"action": "answer"})
        return error_answer(503, str(error), headers=[(b"retry-after", _RETRY_AFTER_S)])
    logger.error("a request failed", exc_info=error, extra={"action": "answer"})
    return error_answer(500, "an error of this catalog: it has been logged")


def head_of(answer: Answer, request_headers: Headers) -> tuple[int, list[tuple[bytes, bytes]], bytes | None]:
    """(status, headers, coding of the body) as they go out, after If-None-Match and Accept-Encoding.

    A 304 has no body whatever the coding; the length is not known before the body is compressed.
    """
    if answer.private:
        return answer.status, _private_head(answer), None
    headers = [(b"content-type", answer.media_type), (b"cache-control", answer.cache), *_CORS, *answer.headers]
    accepted, known = _wishes(request_headers)
    streamed = answer.chunks is not None
    if answer.status == 200 and (answer.body or streamed):
        headers.append((b"vary", b"Accept-Encoding"))
        etag = answer.validator
        if not etag and not streamed:
            etag = b'W/"%x"' % xxhash.xxh3_64_intdigest(answer.body)
        if etag:
            headers.append((b"etag", etag))
        if etag and known is not None and _knows(known, etag):
            return 304, headers, None
    if answer.coding:
        headers.append((b"content-encoding", answer.coding))
    worthwhile = not answer.plain and (streamed or len(answer.body) >= COMPRESS_FROM_BYTES)
    coding = preferred(accepted) if accepted and worthwhile else None
    if coding is not None:
        headers.append((b"content-encoding", coding))
    return answer.status, headers, coding


def _private_head(answer: Answer) -> list[tuple[bytes, bytes]]:
    """Its headers. It is never compressed: a length must tell nothing of a form's token beside what somebody sent."""
    own = dict(_PRIVATE) | {b"content-type": answer.media_type, b"cache-control": _NO_STORE}
    return [*own.items(), *(each for each in answer.headers if each[0] not in own)]


def _wishes(headers: Headers) -> tuple[bytes, bytes | None]:
    accepted, known = b"", None
    for name, value in headers:
        if name == b"accept-encoding":
            accepted = value
        elif name == b"if-none-match":
            known = value
    return accepted, known


def is_known(request_headers: Headers, etag: bytes) -> bool:
    """Whether the client has what this ETag stands for."""
    _, known = _wishes(request_headers)
    return known is not None and _knows(known, etag)


def _knows(known: bytes, etag: bytes) -> bool:
    """Weak comparison, as If-None-Match asks for.

    >>> _knows(b'"a", W/"b"', b'W/"b"'), _knows(b'"b"', b'W/"b"'), _knows(b"*", b'W/"b"'), _knows(b'"c"', b'W/"b"')
    (True, True, True, False)
    """
    if known.strip() == b"*":
        return True
    return any(tag.strip().removeprefix(b"W/") == etag[2:] for tag in known.split(b","))
