"""The change log as followers read it: positions, tokens, what was forgotten. Nothing here knows of HTTP."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import orjson

from federation.database import Row
from federation.errors import PanofedError
from federation.queries import query

_VERSION = 1
_TOKEN_MAX = 200
#: Beyond this no transaction number and no number of a change can be.
_NUMBER_MAX = 2**63
#: Waiting clients of one worker share one look at the end of the log.
_LOOK_EVERY_S = 1.0

#: (statement, arguments) > rows: a worker's connections, or one connection.
Fetch = Callable[..., Awaitable[list[Row]]]


class Position(NamedTuple):
    """After the n-th change, made by transaction `xid`. Positions compare as changes are ordered."""

    xid: int
    n: int


START = Position(0, 0)


class Token(NamedTuple):
    """Where a follower stands, in which epoch of the log."""

    epoch: str
    position: Position


class TokenRefused(PanofedError):
    """A text that is no token of this catalog."""


class FeedForgotten(PanofedError):
    """What follows this position is not all there any more, or belongs to a log that was replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Some changes in order, and where they end."""

    epoch: str
    rows: list[Row]
    end: Position

    @property
    def token(self) -> str:
        """What the next question begins with."""
        return write_token(Token(self.epoch, self.end))


def write_token(token: Token) -> str:
    """A position as opaque text.

    >>> read_token(write_token(Token("dc0820d3-7c2b-483e-bda1-ed6b79a2118f", Position(2**40, 7)))).position
    Position(xid=1099511627776, n=7)
    """
    text = orjson.dumps([_VERSION, token.epoch, *token.position])
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def read_token(text: str) -> Token:
    """The position a token stands for; TokenRefused for any other text."""
    try:
        if len(text) > _TOKEN_MAX:
            raise ValueError("too long")
        parts = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        version, epoch, xid, n = parts
        whole = all(type(number) is int and 0 <= number < _NUMBER_MAX for number in (xid, n))
        if version != _VERSION or not isinstance(epoch, str) or not whole:
            raise ValueError("of another kind")
    except (ValueError, TypeError, binascii.Error) as error:
        raise TokenRefused(f"{text[:60]!r} is not a token of the change feed") from error
    return Token(epoch, Position(xid, n))


async def read_changes(fetch: Fetch, since: Token | None, most: int) -> Changes:
    """At most `most` changes after a token, or the oldest that are kept; FeedForgotten when some of them are gone.

    An empty answer ends where it began: who asks again asks the same.
    """
    start = START if since is None else since.position
    rows = await fetch(query("catalog_changes"), str(start.xid), start.n, most)
    head = rows[0]
    if since is not None:
        _check(since, head)
    elif head["purged_xid"] is not None:
        start = Position(int(head["purged_xid"]), head["purged_n"])
    found = [row for row in rows if row["xid"] is not None]
    end = Position(int(found[-1]["xid"]), found[-1]["n"]) if found else start
    return Changes(epoch=str(head["epoch"]), rows=found, end=end)


def _check(since: Token, head: Row) -> None:
    if since.epoch != str(head["epoch"]):
        raise FeedForgotten("this token belongs to a log that was replaced: the database was restored or made anew")
    if head["purged_xid"] is not None and since.position < (int(head["purged_xid"]), head["purged_n"]):
        raise FeedForgotten("changes after this token are not kept any more")
    # a replica may be behind the server that gave the token: its follower waits
    if since.position.xid > int(head["ahead"]) and not head["replica"]:
        raise FeedForgotten("this token is newer than the log: the database was put back to an earlier state")


async def read_head(fetch: Fetch) -> Token:
    """After all changes that can be given out now: whoever begins here gets everything that commits from here on."""
    rows = await fetch(query("catalog_changes"), str(_NUMBER_MAX), 0, 1)
    return Token(str(rows[0]["epoch"]), Position(int(rows[0]["head"]), 0))


@dataclass(slots=True)
class Latest:
    """The last change of the log, looked up for all waiting clients of a worker together."""

    _token: Token | None = None
    _looked_at: float = field(default=-1e9)

    async def beyond(self, fetch: Fetch, token: Token) -> bool:
        """Whether there is anything to tell to who stands at `token`, as it was a second ago at most."""
        if time.monotonic() - self._looked_at > _LOOK_EVERY_S:
            self._looked_at = time.monotonic()
            (row,) = await fetch(query("catalog_latest_change"))
            last = START if row["xid"] is None else Position(int(row["xid"]), row["n"])
            self._token = Token(str(row["epoch"]), last)
        known = self._token
        return known is not None and (known.epoch != token.epoch or known.position > token.position)
