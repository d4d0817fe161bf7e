"""Tokens that let somebody in: made, looked up by their hash, and taken back. The token itself is never kept or logged.

A token is 32 random bytes, so its hash needs no salt and no slow function, and looking for the hash in an index tells a
stranger nothing: what a comparison's time could give away is a prefix of a hash, of which no token can be made.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from federation.database import Connection, Row
from federation.events import Kind, note, token_actor
from federation.queries import query

#: Makes a token recognisable, for people and for those who look for secrets in published files.
PREFIX = "panofed_"
_FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")


class Scope(StrEnum):
    """What a token is for; each may do what the one before may."""

    PING = "ping"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What is known of a token. `instance` is the number of the only instance it is for, None for all."""

    n: int
    scope: Scope
    instance: int | None
    label: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None

    @classmethod
    def of_row(cls, row: Row) -> Token:
        """From its row."""
        names = ("n", "instance", "label", "created_at", "expires_at", "revoked_at", "used_at")
        return cls(scope=Scope(row["scope"]), **{name: row[name] for name in names})

    def allows(self, scope: Scope, instance: int) -> bool:
        """Whether it may do what a scope may, with an instance."""
        order = list(Scope)
        return order.index(self.scope) >= order.index(scope) and self.instance in (None, instance)


def make_secret() -> str:
    """A new token's text.

    >>> is_secret(make_secret())
    True
    """
    return PREFIX + secrets.token_urlsafe(32)


def is_secret(text: str) -> bool:
    """Whether a text can be a token at all; nobody has to ask the database about others."""
    return _FORM.fullmatch(text) is not None


def hash_of(secret: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(secret.encode()).digest()


async def create_token(
    connection: Connection, scope: Scope, instance: int | None, *, label: str = "", lasts: timedelta | None = None
) -> str:
    """Make a token and return it: the only moment at which it is known. Only an admin's is for all instances."""
    secret = make_secret()
    await connection.execute(query("add_token"), hash_of(secret), scope.value, instance, label, lasts)
    return secret


async def make_token(
    connection: Connection,
    scope: Scope,
    instance: int | None,
    actor: str,
    *,
    label: str = "",
    lasts: timedelta | None = None,
) -> str:
    """The same, in one transaction with its event."""
    async with connection.transaction():
        secret = await create_token(connection, scope, instance, label=label, lasts=lasts)
        details = {"scope": scope.value, "label": label}
        await note(connection, Kind.TOKEN_MADE, actor=actor, instance=instance, details=details)
    return secret


async def use_token(connection: Connection, secret: str) -> Token | None:
    """The token of this text, noted as used; None when there is none that still holds."""
    if not is_secret(secret):
        return None
    row = await connection.fetchrow(query("use_token"), hash_of(secret))
    return None if row is None else Token.of_row(row)


async def list_tokens(connection: Connection, instance: int | None) -> list[Token]:
    """The tokens of one instance, or all of them."""
    return [Token.of_row(row) for row in await connection.fetch(query("list_tokens"), instance)]


async def revoke_token(connection: Connection, number: int) -> bool:
    """Take a token back; False when there is none of that number, or it was taken back already."""
    return await connection.fetchval(query("revoke_token"), number) is not None


async def take_token_back(connection: Connection, number: int, actor: str) -> bool:
    """The same, in one transaction with its event."""
    async with connection.transaction():
        revoked = await revoke_token(connection, number)
        if revoked:
            await note(connection, Kind.TOKEN_REVOKED, actor=actor, subject=token_actor(number))
    return revoked
