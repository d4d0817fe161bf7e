"""Links that let somebody in once: made for an operator or an administrator, exchanged for a session, never kept.

The secret stands behind the `#` of the address, which no browser sends and no server logs; the page there posts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from federation.database import Connection, Row
from federation.events import Kind, note
from federation.queries import query
from federation.tokens import Scope, hash_of, make_secret

#: Where a link leads; the secret follows.
SIGN_IN = "/sign-in#"
_LISTED_MAX = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What is known of a link. `instance` is the number of the only instance it is for, None for an administrator's."""

    n: int
    scope: Scope
    instance: int | None
    made_by: str
    label: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of_row(cls, row: Row) -> Link:
        """From its row."""
        names = ("n", "instance", "made_by", "label", "created_at", "expires_at", "used_at", "revoked_at")
        return cls(scope=Scope(row["scope"]), **{name: row[name] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeLink:
    """A link as it was just made: the only moment at which its secret is known."""

    n: int
    secret: str
    expires_at: datetime

    def address(self, base: str) -> str:
        """What to send to whom it is for; `base` is where the catalog is, without a slash at the end."""
        return f"{base}{SIGN_IN}{self.secret}"


async def make_link(
    connection: Connection, instance: int | None, actor: str, *, lasts: timedelta, label: str = ""
) -> MadeLink:
    """Make a link for the operator of an instance, or (None) for an administrator."""
    secret = make_secret()
    scope = Scope.ADMIN if instance is None else Scope.OPERATOR
    row = await connection.fetchrow(query("add_link"), hash_of(secret), scope.value, instance, actor, label, lasts)
    assert row is not None
    made = MadeLink(n=row["n"], secret=secret, expires_at=row["expires_at"])
    await note(
        connection, Kind.LINK_MADE, actor=actor, instance=instance, subject=f"link {made.n}", details={"label": label}
    )
    return made


async def list_links(connection: Connection, instance: int | None = None) -> list[Link]:
    """The latest links, of one instance or of all."""
    return [Link.of_row(row) for row in await connection.fetch(query("list_links"), instance, _LISTED_MAX)]


async def revoke_link(connection: Connection, number: int, actor: str) -> bool:
    """Take a link back, and end the session it was exchanged for; False when there is none left to take back."""
    rows = await connection.fetch(query("revoke_link"), number)
    if rows:
        instance = rows[0]["instance"]
        await note(connection, Kind.LINK_REVOKED, actor=actor, instance=instance, subject=f"link {number}")
    return bool(rows)
