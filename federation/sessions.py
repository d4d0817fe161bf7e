"""Sessions: a browser that was let in by a link or a token, and what it may do until it signs out or time is over."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta

from federation.database import Connection, Row
from federation.events import Kind, link_actor, note, token_actor
from federation.queries import query
from federation.settings import Settings
from federation.tokens import Scope, hash_of, is_secret, make_secret, use_token


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Who is there. `instance` is the number of the only instance it is for, None for an administrator's."""

    n: int
    scope: Scope
    instance: int | None
    link: int | None
    token: int | None
    expires_at: datetime

    @classmethod
    def of_row(cls, row: Row) -> Session:
        """From its row."""
        names = ("n", "instance", "link", "token", "expires_at")
        return cls(scope=Scope(row["scope"]), **{name: row[name] for name in names})

    @property
    def actor(self) -> str:
        """As events name who did something."""
        return link_actor(self.link) if self.link is not None else token_actor(self.token or 0)


async def open_session(connection: Connection, secret: str, settings: Settings) -> str | None:
    """Exchange a link or a token for a session; returns its cookie's value, None when neither lets anybody in.

    A link is used up by it. In one transaction: a link is never lost without its session.
    """
    if not is_secret(secret):
        return None
    async with connection.transaction():
        row = await connection.fetchrow(query("use_link"), hash_of(secret))
        if row is not None:
            await note(connection, Kind.LINK_USED, actor=link_actor(row["n"]), instance=row["instance"])
            return await _add(connection, Scope(row["scope"]), row["instance"], row["n"], None, settings)
        token = await use_token(connection, secret)
        if token is None or token.scope is Scope.PING:
            return None
        await note(connection, Kind.SIGNED_IN, actor=token_actor(token.n), instance=token.instance)
        return await _add(connection, token.scope, token.instance, None, token.n, settings)


async def _add(
    connection: Connection, scope: Scope, instance: int | None, link: int | None, token: int | None, settings: Settings
) -> str:
    cookie = make_secret()
    lasts = timedelta(hours=settings.session_hours)
    await connection.execute(query("add_session"), hash_of(cookie), scope.value, instance, link, token, lasts)
    return cookie


async def use_session(connection: Connection, cookie: str, settings: Settings) -> Session | None:
    """The session of this cookie; None when there is none that still holds."""
    if not is_secret(cookie):
        return None
    idle = timedelta(hours=settings.session_idle_hours)
    row = await connection.fetchrow(query("use_session"), hash_of(cookie), idle)
    return None if row is None else Session.of_row(row)


async def end_session(connection: Connection, number: int) -> None:
    """Sign out."""
    await connection.execute(query("end_session"), number)


async def end_sessions(connection: Connection, instance: int | None = None) -> int:
    """Sign everybody out, or everybody of one instance; returns how many were there."""
    ended: int = await connection.fetchval(query("end_sessions"), instance)
    return ended


def form_token(cookie: str) -> str:
    """What the forms of a session's pages carry: made of the cookie, which no other site's page can read.

    >>> form_token("a") == form_token("a"), form_token("a") == form_token("b"), len(form_token("a"))
    (True, False, 64)
    """
    return hmac.new(cookie.encode(), b"panofed form", hashlib.sha256).hexdigest()


def is_form_token(said: str, cookie: str) -> bool:
    """Whether a form is of this session's pages; takes as long whatever it says."""
    return hmac.compare_digest(said.encode(), form_token(cookie).encode())
