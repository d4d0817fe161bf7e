"""Whose browser asks: the session of its cookie, and for forms that they are of that session's pages."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request

from catalog_api.access.cookies import cookie_of
from catalog_api.access.who import Who
from catalog_api.state import catalog_of
from federation.database import Connection
from federation.sessions import use_session


class SignInNeeded(Exception):
    """Nobody is signed in, or not any more: the browser is sent to where one does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody who is signed in. `cookie` is what their forms are checked by."""

    who: Who
    session: int
    cookie: str


async def visitor_of(request: Request, connection: Connection) -> Visitor:
    """Who is signed in; SignInNeeded when nobody is."""
    cookie = cookie_of(request)
    session = await use_session(connection, cookie, catalog_of(request).settings)
    if session is None:
        raise SignInNeeded
    who = Who(scope=session.scope, instance=session.instance, actor=session.actor)
    return Visitor(who=who, session=session.n, cookie=cookie)
