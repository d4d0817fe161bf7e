"""Instances that want to join: asked for by whoever runs one, checked, proved to be theirs, approved or refused.

checking -> awaiting-proof -> (proved, checked again in full) -> awaiting-approval -> approved, refused; or expired.
The operator's token is made with the registration and let in by its approval: nothing has to be delivered afterwards.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID, uuid4

import orjson

from federation.asset_hosts import hosts_found
from federation.checks import Kind as CheckKind
from federation.checks import ask_check
from federation.database import Connection, Row
from federation.errors import CheckRefused, RegistrationRefused
from federation.events import HARVESTER, VISITOR, Kind, note
from federation.instances_fields import clean_url, is_slug
from federation.place import place_of
from federation.politeness import Politeness, WrongChoice
from federation.queries import query
from federation.settings import Settings
from federation.takedowns import as_writer
from federation.tokens import Scope, hash_of, make_secret

#: What is to be published, with 128 random bits.
PROOF_PREFIX = "panofed-proof="
#: Where it can be: below the instance's origin, and beside its host name.
PROOF_PATH = "/.well-known/panofed-proof.txt"
PROOF_NAME = "_panofed."
BLURRING = ("automatic", "by-hand", "none")
#: Names that stand for something else in /api/instances/{name}.
RESERVED = frozenset({"check", "checks"})
#: What somebody who registers says.
WISHED = ("url", "name", "contact", "blurring", "cadence_s", "note")
_TEXT_MAX = 2_000


class State(StrEnum):
    """How far a registration is."""

    CHECKING = "checking"
    AWAITING_PROOF = "awaiting-proof"
    AWAITING_APPROVAL = "awaiting-approval"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        """Whether something can still become of it."""
        return self in (State.CHECKING, State.AWAITING_PROOF, State.AWAITING_APPROVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody asks for. `blurring` is one of BLURRING, `cadence_s` the wished seconds between visits."""

    url: str
    name: str
    contact: str
    blurring: str
    cadence_s: float | None = None
    note: str = ""

    @classmethod
    def of(cls, fields: Mapping[str, object], settings: Settings) -> Wish:
        """From what somebody sent; RegistrationRefused names the field that cannot be used.

        >>> said = {"url": "HTTPS://A.example/api/", "name": "a", "contact": "a@a.example", "blurring": "automatic"}
        >>> Wish.of(said, Settings()).url
        'https://a.example/api'
        """
        told = {name: _text(fields.get(name), name) for name in WISHED}
        url, name, blurring = told["url"], told["name"], told["blurring"]
        try:
            address = clean_url(url[:2_000])
        except ValueError as error:
            raise RegistrationRefused(f"url: {error}", field="url", value=url) from error
        if not is_slug(name) or name in RESERVED:
            problem = "must be 1 to 64 lower-case letters, digits and '-', not '-' first or last, no reserved word"
            raise RegistrationRefused(f"name: {problem}", field="name", value=name)
        if blurring not in BLURRING:
            raise RegistrationRefused(f"blurring: is none of {', '.join(BLURRING)}", field="blurring", value=blurring)
        if not told["contact"]:
            raise RegistrationRefused("contact: is needed: an e-mail address or an https address", field="contact")
        try:
            choices = {"contact": told["contact"], "cadence_s": told["cadence_s"]}
            chosen = Politeness().changed(choices, settings)
        except WrongChoice as error:
            raise RegistrationRefused(str(error), field=error.field, value=str(error.value)) from error
        return cls(
            url=address, name=name, contact=chosen.contact, blurring=blurring, cadence_s=chosen.cadence_s,
            note=told["note"],
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """A registration as it is now. `check` is its last check; `instance` the number of what it became."""

    n: int
    id: UUID
    state: State
    state_reason: str
    url: str
    name: str
    contact: str
    blurring: str
    cadence_s: float | None
    note: str
    proof: str
    proved_at: datetime | None
    proved_by: str
    proof_lost_at: datetime | None
    moves: int | None
    instance: int | None
    check: UUID | None
    check_outcome: str
    created_at: datetime
    changed_at: datetime

    @classmethod
    def of_row(cls, row: Row) -> Registration:
        """From its row."""
        names = [name for name in cls.__dataclass_fields__ if name not in ("state", "check")]
        return cls(state=State(row["state"]), check=row["check_id"], **{name: row[name] for name in names})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A registration just made; `token` is known at this moment only."""

    id: UUID
    check: UUID
    proof: str
    token: str


async def register(connection: Connection, wish: Wish, settings: Settings) -> Asked:
    """Take a registration and ask for its first check. RegistrationRefused when the address or name is taken."""
    proof, token = PROOF_PREFIX + secrets.token_hex(16), make_secret()
    async with connection.transaction():
        await connection.execute(query("lock_registry"))
        await _check_free(connection, wish, settings)
        row = await connection.fetchrow(
            query("add_registration"), wish.url, place_of(wish.url), wish.name, wish.contact, wish.blurring,
            wish.cadence_s, wish.note, proof, hash_of(token), None,
        )  # fmt: skip
        assert row is not None
        check = await ask_check(connection, wish.url, settings, registration=row["n"])
        await note(connection, Kind.REGISTERED, actor=VISITOR, subject=wish.url, details={"name": wish.name})
        return Asked(id=row["id"], check=check, proof=proof, token=token)


async def ask_move(connection: Connection, instance: int, url: str, settings: Settings) -> Asked:
    """Let an instance move to another address: once that is proved it does, without anybody's approval.

    RegistrationRefused when the address is taken, or the instance is ruled by instances.yaml.
    """
    async with connection.transaction():
        await connection.execute(query("lock_registry"))
        row = await connection.fetchrow(query("read_registered"), instance)
        if row is None:
            raise RegistrationRefused("this instance is not a registered one: its address is changed in instances.yaml")
        try:
            wish = Wish(url=clean_url(url.strip()), name=row["name"], contact=row["contact"], blurring=row["blurring"])
        except ValueError as error:
            raise RegistrationRefused(f"url: {error}", field="url", value=url) from error
        await _check_free(connection, wish, settings, moves=instance)
        proof = PROOF_PREFIX + secrets.token_hex(16)
        made = await connection.fetchrow(
            query("add_registration"), wish.url, place_of(wish.url), wish.name, row["contact"], row["blurring"],
            None, "", proof, None, instance,
        )  # fmt: skip
        assert made is not None
        check = await ask_check(connection, wish.url, settings, registration=made["n"])
        return Asked(id=made["id"], check=check, proof=proof, token="")


async def ask_proof(connection: Connection, registration: UUID, settings: Settings) -> UUID:
    """Look for the published proof, and where it is there check everything; the id of that check.

    A registration whose first check failed is checked anew instead: who cannot be reached cannot prove anything.
    """
    async with connection.transaction():
        row = await connection.fetchrow(query("hold_registration_by_id"), registration)
        if row is None or not State(row["state"]).is_open:
            raise RegistrationRefused("this registration is closed")
        first = row["state"] == State.CHECKING and row["proved_at"] is None
        if row["state"] == State.AWAITING_APPROVAL:
            raise RegistrationRefused("this registration is proved and checked: it waits for a moderator")
        kind = CheckKind.FIRST if first else CheckKind.FULL
        return await ask_check(connection, row["url"], settings, kind=kind, registration=row["n"])


async def prove_again(connection: Connection, instance: int, settings: Settings) -> UUID | None:
    """Look for the proof of a registered instance again, as after a change of its settings; None for other instances.

    What is found is noted as PROVED or PROOF_LOST; nothing else happens to the instance. None too while somebody else's
    check of it is under way.
    """
    with suppress(CheckRefused):
        async with connection.transaction():
            row = await connection.fetchrow(query("registration_of_instance"), instance)
            if row is not None:
                return await ask_check(connection, row["url"], settings, kind=CheckKind.FULL, registration=row["n"])
    return None


async def settle(connection: Connection, number: int, outcome: str, proved_by: str | None, settings: Settings) -> None:
    """What follows from a check that ended, in its transaction. `proved_by` is "" when no proof was found, None when it
    was not looked for."""
    # in the same order as `approve`: who waits for the registry holds no registration
    await connection.execute(query("lock_registry"))
    row = await connection.fetchrow(query("hold_registration"), number)
    if row is None:
        return
    state = State(row["state"])
    if proved_by is not None:
        await _note_proof(connection, row, proved_by)
    proved = row["proved_at"] is not None or bool(proved_by)
    if not state.is_open:
        return
    await note(
        connection, Kind.CHECKED, actor=HARVESTER, instance=row["moves"], subject=row["url"],
        details={"outcome": outcome, "name": row["name"]},
    )  # fmt: skip
    if proved_by == "":
        following = State.AWAITING_PROOF
    elif outcome not in ("passed", "warned"):
        following = State.CHECKING
    elif not proved or proved_by is None:
        following = State.AWAITING_PROOF
    else:
        following = State.AWAITING_APPROVAL
    await connection.execute(query("set_registration_state"), number, following.value, "")
    if following is State.AWAITING_APPROVAL and await _needs_nobody(connection, row, settings):
        with suppress(RegistrationRefused):  # somebody has its name or address by now: a moderator's to see
            await approve(connection, number, HARVESTER)


async def _needs_nobody(connection: Connection, row: Row, settings: Settings) -> bool:
    """A move needs its proof alone; a new instance whose faces are not blurred, or whose pictures lie on other hosts,
    needs somebody to look at it always."""
    if row["moves"] is not None:
        return True
    automatic = settings.registration == "automatic" and row["blurring"] != "none"
    return automatic and not await hosts_to_confirm(connection, row["n"])


async def hosts_to_confirm(connection: Connection, registration: int) -> tuple[str, ...]:
    """Where else its pictures lie, as the last full check saw it: the approval confirms these hosts."""
    rows = await connection.fetch(query("findings_of_registration"), registration)
    return hosts_found([finding for row in rows for finding in orjson.loads(row["findings"])])


async def _note_proof(connection: Connection, row: Row, proved_by: str) -> None:
    approved = row["state"] == State.APPROVED
    if not proved_by and not approved:
        return
    lost = not proved_by and row["proof_lost_at"] is None
    if proved_by or lost:
        kind = Kind.PROVED if proved_by else Kind.PROOF_LOST
        details = {"by": proved_by, "name": row["name"]}
        instance = row["instance"] if approved else row["moves"]
        await note(connection, kind, actor=HARVESTER, instance=instance, subject=row["url"], details=details)
    await connection.execute(query("keep_proof"), row["n"], proved_by)


async def approve(connection: Connection, registration: int, actor: str) -> int:
    """Let it in: the number of its instance, which is due now. RegistrationRefused unless it awaits approval.

    Hosts besides its own that its pictures lie on are confirmed with it.
    """
    async with connection.transaction():
        await connection.execute(query("lock_registry"))
        row = await _held(connection, registration)
        if row["state"] != State.AWAITING_APPROVAL:
            raise RegistrationRefused(f"registration {registration} is {row['state']}: only what is proved is approved")
        if row["moves"] is not None:
            return await _move(connection, row, actor)
        taken = await _taken(connection, row["name"], row["place"], None)
        if taken:
            raise RegistrationRefused(taken)
        hosts = list(await hosts_to_confirm(connection, registration))
        instance: int = await connection.fetchval(
            query("add_registered"), str(uuid4()), row["name"], row["url"], row["contact"], row["cadence_s"], hosts
        )
        if row["token_hash"] is not None:
            label = f"registration {row['n']}"
            await connection.execute(query("add_token"), row["token_hash"], Scope.OPERATOR.value, instance, label, None)
        await connection.execute(query("close_registration"), registration, State.APPROVED.value, "", instance)
        details: dict[str, object] = {"registration": registration, "name": row["name"]}
        if hosts:
            details["asset_hosts"] = hosts
        await note(connection, Kind.APPROVED, actor=actor, instance=instance, subject=row["url"], details=details)
        joined = {"name": row["name"]}
        await note(connection, Kind.JOINED, actor=actor, instance=instance, subject=row["url"], details=joined)
        return instance


async def refuse(connection: Connection, registration: int, reason: str, actor: str) -> None:
    """Do not let it in, and say why. RegistrationRefused when it is closed already."""
    async with connection.transaction():
        row = await _held(connection, registration)
        if not State(row["state"]).is_open:
            raise RegistrationRefused(f"registration {registration} is {row['state']} already")
        said = _text(reason, "reason")
        await connection.execute(query("close_registration"), registration, State.REFUSED.value, said, None)
        details = {"registration": registration, "name": row["name"], "reason": said}
        await note(connection, Kind.REFUSED, actor=actor, instance=row["moves"], subject=row["url"], details=details)


async def read_registration(connection: Connection, registration: UUID) -> Registration | None:
    """By its address."""
    row = await connection.fetchrow(query("read_registration"), registration)
    return None if row is None else Registration.of_row(row)


async def list_registrations(connection: Connection, *, only_open: bool = False, most: int = 200) -> list[Registration]:
    """The latest first; `only_open`: those that something can still become of."""
    return [Registration.of_row(row) for row in await connection.fetch(query("list_registrations"), only_open, most)]


async def _held(connection: Connection, registration: int) -> Row:
    row = await connection.fetchrow(query("hold_registration"), registration)
    if row is None:
        raise RegistrationRefused(f"there is no registration {registration}")
    return row


async def _move(connection: Connection, row: Row, actor: str) -> int:
    instance: int = row["moves"]
    taken = await _taken(connection, row["name"], row["place"], instance)
    if taken:
        raise RegistrationRefused(taken)
    async with as_writer(connection):
        before = await connection.fetchval(query("move_instance"), instance, row["url"])
    await connection.execute(query("close_registration"), row["n"], State.APPROVED.value, "", instance)
    details = {"before": before, "after": row["url"]}
    await note(connection, Kind.MOVED, actor=actor, instance=instance, subject=row["url"], details=details)
    return instance


async def _check_free(connection: Connection, wish: Wish, settings: Settings, *, moves: int | None = None) -> None:
    place = place_of(wish.url)
    taken = await _taken(connection, wish.name, place, moves)
    if taken:
        raise RegistrationRefused(taken, field="name" if taken.startswith("name") else "url")
    row = await connection.fetchrow(query("open_registrations"), place, wish.name)
    assert row is not None
    if row["here"]:
        said = "url: this address is being registered already, by somebody who proved to run it"
        raise RegistrationRefused(said, field="url", value=wish.url)
    if row["named"] and moves is None:
        raise RegistrationRefused("name: another registration has this name", field="name", value=wish.name)
    if row["open"] >= settings.registrations_max and await connection.fetchval(query("expire_oldest")) is None:
        raise RegistrationRefused("so many registrations are open that no more are taken now")


async def _taken(connection: Connection, name: str, place: str, but: int | None) -> str:
    """Why no instance can be made of this; "" when one can."""
    for row in await connection.fetch(query("known_addresses")):
        if row["n"] == but:
            continue
        if row["name"] == name:
            return f"name: an instance has the name {name!r} already"
        if place_of(row["url"]) == place and not row["has_left"]:
            return f"url: this is the address of the instance {row['name']!r}"
    return ""


def _text(value: object, field: str) -> str:
    text = "" if value is None else str(value) if isinstance(value, int | float) else value
    if not isinstance(text, str):
        raise RegistrationRefused(f"{field}: is not text", field=field, value=str(value)[:60])
    said = text.strip()
    if len(said) > _TEXT_MAX or any(not each.isprintable() and each not in "\r\n\t" for each in said):
        problem = f"must be text of at most {_TEXT_MAX:,} characters"
        raise RegistrationRefused(f"{field}: {problem}", field=field, value=text[:60])
    return said
