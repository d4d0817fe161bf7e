"""What can be done with an instance, by the names it has in addresses: the same for pages and for programs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from catalog_api.access.who import Who
from catalog_api.edge.responses import BadRequest, NotFound
from catalog_api.state import Catalog
from federation import acts
from federation.database import Connection, Row
from federation.errors import ActRefused, ConfigurationError
from federation.instances import asked_state
from federation.politeness import Politeness
from federation.registrations import ask_move


@dataclass(frozen=True, slots=True)
class Done:
    """By which name pages tell of what was done, and where it goes on: at a registration that has to be proved."""

    said: str
    registration: UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """Somebody does something with an instance (`one`: its row of instances_to_act_on), in a transaction."""

    catalog: Catalog
    connection: Connection
    who: Who
    one: Row
    fields: Mapping[str, object]

    @property
    def n(self) -> int:
        """The instance's number."""
        number: int = self.one["n"]
        return number

    def text(self, field: str) -> str:
        """A field that is text, "" without one; BadRequest for anything else."""
        value = self.fields.get(field, "")
        if not isinstance(value, str):
            raise BadRequest(field, value, "is not text")
        return value

    async def do(self, act: str) -> Done:
        """Do it. NotFound, or Forbidden for what only administrators do."""
        found = ACTS.get(act) or ADMIN_ACTS.get(act)
        if found is None:
            raise NotFound(f"there is nothing to do that is named {act[:60]!r}")
        if act in ADMIN_ACTS:
            self.who.must_be_admin()
        done = await found(self)
        return done if isinstance(done, Done) else Done(done)

    async def asked_state(self) -> str:
        """The state that its entry asks for, where the file rules it."""
        if self.one["source"] != "file":
            return "enabled"
        try:
            return await asyncio.to_thread(asked_state, self.catalog.settings.instances_file, self.one["id"])
        except ConfigurationError as error:
            raise ActRefused(f"instances.yaml cannot be read: {error}") from error


async def _pause(acting: Acting) -> str:
    await acts.pause(acting.connection, acting.n, acting.who.hand, acting.text("reason"))
    return "paused"


async def _resume(acting: Acting) -> str:
    await acts.resume(acting.connection, acting.n, acting.who.hand, await acting.asked_state())
    return "resumed"


async def _harvest(acting: Acting) -> str:
    await acts.harvest_now(acting.connection, acting.n, acting.who.hand, acting.catalog.settings)
    return "harvest"


async def _reconcile(acting: Acting) -> str:
    await acts.reconcile(acting.connection, acting.n, acting.who.hand, acting.catalog.settings)
    return "reconcile"


async def _choose(acting: Acting) -> str:
    before = Politeness.of_row(acting.one)
    after = await acts.change(acting.connection, acting.n, acting.who.hand, acting.fields, acting.catalog.settings)
    return "unchanged" if after == before else "changed"


async def _leave(acting: Acting) -> str:
    """Only with the instance's name written out."""
    name, said = acting.one["name"], acting.text("name")
    if said.strip() != name:
        raise BadRequest("name", said, f"is not {name!r}: nothing was done")
    await acts.leave_federation(acting.connection, acting.n, acting.who.hand)
    return "leaving"


async def _confirm(acting: Acting) -> str:
    state = await acting.asked_state()
    await acts.decide_brake(acting.connection, acting.n, acting.who.hand, gone=True, state=state)
    return "brake_confirmed"


async def _refuse(acting: Acting) -> str:
    state = await acting.asked_state()
    await acts.decide_brake(acting.connection, acting.n, acting.who.hand, gone=False, state=state)
    return "brake_refused"


async def _move(acting: Acting) -> Done:
    """At once by an administrator; by its operator once it is proved that the new address is theirs too."""
    if acting.who.is_admin:
        await acts.move(acting.connection, acting.n, acting.who.hand, acting.text("url"))
        return Done("moved")
    asked = await ask_move(acting.connection, acting.n, acting.text("url"), acting.catalog.settings)
    return Done("move_asked", asked.id)


async def _hosts(acting: Acting) -> str:
    """A list, or as pages send it a text with blanks, commas or lines between."""
    value = acting.fields.get("asset_hosts", "")
    hosts = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(hosts, list) or not all(isinstance(each, str) for each in hosts):
        raise BadRequest("asset_hosts", value, "is not a list of hosts")
    before = tuple(acting.one["asset_hosts"])
    after = await acts.confirm_hosts(acting.connection, acting.n, acting.who.hand, hosts)
    return "unchanged" if after == before else "changed"


_Act = Callable[[Acting], Awaitable[str | Done]]
#: What an operator may do with the own instance, and an administrator with any.
ACTS: Mapping[str, _Act] = {
    "pause": _pause,
    "resume": _resume,
    "harvest": _harvest,
    "reconcile": _reconcile,
    "choices": _choose,
    "leave": _leave,
    "move": _move,
}
ADMIN_ACTS: Mapping[str, _Act] = {"confirm-brake": _confirm, "refuse-brake": _refuse, "hosts": _hosts}
