"""Tokens in the Authorization header: what programs show. Cookies are never looked at on their routes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.requests import Request

from catalog_api.access.asked import receive_body
from catalog_api.access.who import Listened, Who
from catalog_api.edge.responses import Forbidden, Unknown
from catalog_api.state import catalog_of
from federation.database import Connection
from federation.events import token_actor
from federation.tokens import Scope, Token, is_secret, use_token

_NEEDED = "a token of this instance is needed: Authorization: Bearer <token>"


@asynccontextmanager
async def asking(request: Request, scope: Scope) -> AsyncIterator[tuple[Connection, Who]]:
    """Whose token a request shows, and a connection in a transaction for what they want done.

    Unknown without a token that holds, Forbidden when its scope is smaller, TooHasty after too many wrong ones.
    """
    shown = Shown.by(request)
    await receive_body(request)
    operators = catalog_of(request).operators
    async with operators.use() if request.method in ("GET", "HEAD") else operators.act() as connection:
        token = await shown.token(connection)
        if not token.allows(scope, token.instance or 0):
            raise Forbidden(f"this token is for the scope {token.scope.value}: {scope.value} is needed")
        async with connection.transaction():
            yield connection, Who(scope=token.scope, instance=token.instance, actor=token_actor(token.n))


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows as its token; nobody has asked the database about it yet."""

    listened: Listened
    secret: str

    @classmethod
    def by(cls, request: Request) -> Shown:
        """By this request; Unknown when it shows nothing that can be a token, TooHasty after too many wrong ones."""
        header = request.headers.get("authorization", "")
        listened = Listened.to(catalog_of(request), request.scope["client_address"])
        secret = bearer(header)
        if secret is None:
            if header:
                listened.was_wrong()
            raise Unknown(_NEEDED)
        return cls(listened, secret)

    async def token(self, connection: Connection) -> Token:
        """The token; Unknown when there is none that holds."""
        token = await use_token(connection, self.secret)
        if token is None:
            self.listened.was_wrong()
            raise Unknown(_NEEDED)
        return token


def bearer(header: str) -> str | None:
    """The token of an Authorization header, None when it cannot hold one.

    >>> bearer("Bearer x") is None, bearer("") is None, bearer("Basic dTpw") is None
    (True, True, True)
    >>> bearer("bearer panofed_" + "a" * 43)[:12]
    'panofed_aaaa'
    """
    scheme, _, secret = header.strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and is_secret(secret.strip()) else None
