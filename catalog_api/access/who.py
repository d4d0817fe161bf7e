"""Who asks, once a token or a session said so, and what that lets them do."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_api.edge.limits import client_key
from catalog_api.edge.responses import Forbidden, NotFound, TooHasty
from catalog_api.state import Catalog
from federation.acts import Hand
from federation.database import Connection, Row
from federation.queries import query
from federation.tokens import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """An operator of one instance (its number), or an administrator (None: all of them)."""

    scope: Scope
    instance: int | None
    actor: str

    @property
    def is_admin(self) -> bool:
        """Whether it is an administrator."""
        return self.scope is Scope.ADMIN

    @property
    def hand(self) -> Hand:
        """As acts know who does it."""
        return Hand(actor=self.actor, admin=self.is_admin)

    def must_be_admin(self) -> None:
        """Forbidden, unless it is an administrator."""
        if not self.is_admin:
            raise Forbidden("only an administrator may do this")

    async def instance_named(self, connection: Connection, name: str) -> Row:
        """An instance, by name or stable id, with all that who may act on it is shown.

        NotFound, or Forbidden when it is somebody else's. A name goes before an id.
        """
        rows = [] if "\x00" in name else await connection.fetch(query("instances_to_act_on"), name)
        if not rows:
            raise NotFound(f"there is no instance {name[:60]!r}")
        if self.instance not in (None, rows[0]["n"]):
            raise Forbidden(f"you are not the operator of {name[:60]!r}")
        row: Row = rows[0]
        return row


@dataclass(frozen=True, slots=True)
class Listened:
    """One client that may be wrong about a secret so often; see PANOFED_SIGN_IN_FAILURES."""

    catalog: Catalog
    client: str

    @classmethod
    def to(cls, catalog: Catalog, address: str) -> Listened:
        """Listen to the client of this address; TooHasty when it was wrong too often."""
        client = client_key(address)
        wait_s = catalog.attempts.wait_s(client)
        if wait_s:
            catalog.tally.refuse("secrets")
            raise TooHasty(wait_s)
        return cls(catalog, client)

    def was_wrong(self) -> None:
        """What it showed lets nobody in."""
        self.catalog.attempts.wrong(self.client)
