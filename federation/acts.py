"""What may be done with an instance by its operator or an administrator: by page, API and command line the same.

Each act is one function, in the caller's transaction, and is written into the events. ActRefused says why not.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta

from federation.asset_hosts import clean_hosts
from federation.database import Connection, Row
from federation.errors import ActRefused, CheckRefused
from federation.events import COMMAND_LINE, Kind, note
from federation.instances import VANISHED
from federation.instances_fields import clean_url
from federation.leaving import leave
from federation.politeness import Politeness, WrongChoice
from federation.queries import query
from federation.registrations import prove_again
from federation.settings import Settings
from federation.takedowns import as_writer

_REASON_MAX = 500
FILE_RULES = "its entry in instances.yaml rules it: change it there"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """Who does it, as events name them, and whether as an administrator."""

    actor: str
    admin: bool


#: Who has a shell on the machine may do everything.
SHELL = Hand(actor=COMMAND_LINE, admin=True)


async def pause(connection: Connection, instance: int, hand: Hand, reason: str = "") -> None:
    """Visit it no more, until it is resumed; what is held is still served."""
    row = await _locked(connection, instance)
    # an administrator takes an operator's pause over, or gives another reason
    again = row["state"] == "paused" and hand.admin
    if row["state"] not in ("enabled", "disabled") and not again:
        raise ActRefused(f"{row['name']} is {row['state']} already{_because(row)}")
    said = reason_text(reason) or ("paused by hand" if hand.admin else "paused by its operator")
    await connection.execute(query("pause_instance"), instance, said, not hand.admin)
    details = {"id": row["id"], "name": row["name"], "reason": said}
    await note(connection, Kind.PAUSED, actor=hand.actor, instance=instance, details=details)


async def resume(connection: Connection, instance: int, hand: Hand, state: str = "enabled") -> None:
    """Visit a paused instance again; `state` is what it goes to: what its entry asks for, where it has one."""
    row = await _locked(connection, instance)
    if row["state"] == "braked":
        raise ActRefused(f"{row['name']} is stopped by the brake{_because(row)}: an administrator has to decide")
    if row["state"] != "paused":
        raise ActRefused(f"{row['name']} is not paused: it is {row['state']}")
    if not hand.admin and not row["operator_paused"]:
        raise ActRefused(f"{row['name']} was not paused by its operator{_because(row)}: ask the administrators")
    if row["source"] == "file" and row["state_reason"] == VANISHED:
        raise ActRefused(f"{row['name']} has no entry in instances.yaml any more: add it back there")
    await _resume(connection, row, hand, state)


async def decide_brake(
    connection: Connection, instance: int, hand: Hand, *, gone: bool, state: str = "enabled"
) -> None:
    """After the brake: what is missing is gone, or it is to be kept; it is visited again."""
    row = await _locked(connection, instance)
    if not hand.admin:
        raise ActRefused("only an administrator decides after the brake")
    if row["state"] != "braked":
        raise ActRefused(f"{row['name']} is not stopped by the brake: it is {row['state']}")
    await connection.execute(query("decide_absence"), instance, "confirmed" if gone else "refused")
    kind = Kind.BRAKE_CONFIRMED if gone else Kind.BRAKE_REFUSED
    await note(connection, kind, actor=hand.actor, instance=instance, details={"reason": row["state_reason"]})
    await _resume(connection, row, hand, state)


async def harvest_now(connection: Connection, instance: int, hand: Hand, settings: Settings) -> None:
    """Its next visit is due now."""
    row = await _enabled(connection, instance)
    asked = await connection.fetchrow(query("ping_instance"), instance, settings.ping_interval_s)
    if asked is None:
        raise ActRefused(f"{row['name']} was asked for less than {settings.ping_interval_s:g} s ago: it is due")
    await note(connection, Kind.HARVEST_ASKED, actor=hand.actor, instance=instance)


async def reconcile(connection: Connection, instance: int, hand: Hand, settings: Settings) -> None:
    """Everything is read again and compared, at the pace of reconciliation, beginning now."""
    row = await _enabled(connection, instance)
    last = row["recheck_before"]
    if last is not None and row["at"] - last < timedelta(seconds=settings.reconcile_ask_s):
        raise ActRefused(f"{row['name']} is being read again since {last:%Y-%m-%d %H:%M} UTC")
    await connection.execute(query("reconcile_instance"), instance)
    await note(connection, Kind.RECONCILIATION_ASKED, actor=hand.actor, instance=instance)


async def change(
    connection: Connection, instance: int, hand: Hand, asked: Mapping[str, object], settings: Settings
) -> Politeness:
    """Choose how it is visited, see federation/politeness.py; returns what holds now. WrongChoice names the field."""
    row = await _locked(connection, instance)
    _not_by_file(row)
    before = Politeness.of_row(row)
    after = before.changed(asked, settings)
    differences = before.differences(after)
    if differences:
        values = asdict(after)
        names = ("requests_per_s", "concurrency", "cadence_s", "quiet_hours", "contact")
        await connection.execute(query("change_politeness"), instance, *(values[name] for name in names))
        # the contact is for the administrators: that it changed is enough
        told = {name: pair for name, pair in differences.items() if name != "contact"}
        details: dict[str, object] = {"changed": sorted(differences), "values": told}
        await note(connection, Kind.SETTINGS_CHANGED, actor=hand.actor, instance=instance, details=details)
        if not hand.admin:
            # somebody is having it checked right now: the next change looks for the proof
            with suppress(CheckRefused):
                await prove_again(connection, instance, settings)
    return after


async def confirm_hosts(connection: Connection, instance: int, hand: Hand, hosts: Sequence[str]) -> tuple[str, ...]:
    """Say which hosts besides its own its pictures may lie on, instead of those that were; returns them as kept."""
    row = await _locked(connection, instance)
    if not hand.admin:
        raise ActRefused("only an administrator confirms hosts of pictures")
    _not_by_file(row)
    try:
        confirmed = clean_hosts(hosts)
    except ValueError as error:
        raise WrongChoice("asset_hosts", " ".join(hosts), str(error)) from error
    before = tuple(row["asset_hosts"])
    if confirmed != before:
        await connection.execute(query("confirm_hosts"), instance, list(confirmed))
        values = {"asset_hosts": [" ".join(before), " ".join(confirmed)]}
        details: dict[str, object] = {"changed": ["asset_hosts"], "values": values}
        await note(connection, Kind.SETTINGS_CHANGED, actor=hand.actor, instance=instance, details=details)
    return confirmed


async def move(connection: Connection, instance: int, hand: Hand, url: str) -> str:
    """Give it another address, which is read again wholly; returns it in the form it is kept in."""
    row = await _locked(connection, instance)
    if not hand.admin:
        raise ActRefused("only an administrator gives an instance another address")
    _not_by_file(row)
    try:
        address = clean_url(url.strip())
    except ValueError as error:
        raise WrongChoice("url", url, str(error)) from error
    if address == row["url"]:
        raise ActRefused(f"{row['name']} is at {address} already")
    other = await connection.fetchval(query("others_at"), instance, address)
    if other is not None:
        raise ActRefused(f"{other} is at {address}")
    async with as_writer(connection):
        await connection.execute(query("move_instance"), instance, address)
    details = {"before": row["url"], "after": address}
    await note(connection, Kind.MOVED, actor=hand.actor, instance=instance, subject=address, details=details)
    return address


async def leave_federation(connection: Connection, instance: int, hand: Hand) -> None:
    """Nothing of it is shown any more from the end of this transaction on; see federation/leaving.py."""
    row = await _locked(connection, instance)
    if not await leave(connection, instance, hand.actor):
        raise ActRefused(f"{row['name']} is {row['state']} already")


def reason_text(reason: str) -> str:
    """A reason as it is kept: one line, without what is no text or turns its direction; WrongChoice: too long.

    >>> reason_text("  too \\t slow\\u202e ")
    'too slow'
    """
    plain = "".join(" " if c.isspace() else c for c in reason if c.isspace() or unicodedata.category(c)[0] != "C")
    text = " ".join(plain.split())
    if len(text) > _REASON_MAX:
        raise WrongChoice("reason", reason, f"is longer than {_REASON_MAX} characters")
    return text


async def _resume(connection: Connection, row: Row, hand: Hand, state: str) -> None:
    await connection.execute(query("set_instance_state"), row["n"], state, "")
    details = {"id": row["id"], "name": row["name"]}
    await note(connection, Kind.RESUMED, actor=hand.actor, instance=row["n"], details=details)


async def _locked(connection: Connection, instance: int) -> Row:
    row = await connection.fetchrow(query("lock_instance"), instance)
    if row is None:
        raise ActRefused("this instance is gone")
    return row


async def _enabled(connection: Connection, instance: int) -> Row:
    row = await _locked(connection, instance)
    if row["state"] != "enabled":
        raise ActRefused(f"{row['name']} is {row['state']}{_because(row)}: it is not visited")
    return row


def _not_by_file(row: Row) -> None:
    if row["source"] == "file":
        raise ActRefused(f"{row['name']}: {FILE_RULES}")


def _because(row: Row) -> str:
    return f" ({row['state_reason']})" if row["state_reason"] else ""
