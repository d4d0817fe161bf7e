"""Checks of an instance's API: asked for, found again, written down step by step. harvester/checking.py does them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson

from federation.database import Connection, Row
from federation.errors import CheckRefused
from federation.place import place_of
from federation.queries import query
from federation.settings import Settings


class Kind(StrEnum):
    """FIRST: a handful of small requests to whoever's server it is. FULL: after a proof of ownership, with it."""

    FIRST = "first"
    FULL = "full"


class State(StrEnum):
    """How a step is; from OK on in the order of what is worse."""

    RUNNING = "running"
    SKIPPED = "skipped"
    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a step saw: a name that federation/check_words.py puts into words, and the values in them."""

    code: str
    values: Mapping[str, str | int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a check; `number` from 0."""

    number: int
    name: str
    state: State
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A check as it is now. `outcome` is "" until it has ended, else passed, warned, failed or broken."""

    n: int
    id: UUID
    kind: Kind
    url: str
    registration: int | None
    asked_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    outcome: str
    #: how long it has been waiting for a worker, or 0
    waiting_s: float
    steps: tuple[Step, ...]

    @classmethod
    def of_row(cls, row: Row) -> Check:
        """From its row."""
        names = ("n", "id", "url", "registration", "asked_at", "started_at", "ended_at", "outcome", "waiting_s")
        steps = tuple(_step(each) for each in orjson.loads(row["steps"]))
        return cls(kind=Kind(row["kind"]), steps=steps, **{name: row[name] for name in names})


def _step(kept: Mapping[str, Any]) -> Step:
    findings = tuple(Finding(code=each["code"], values=each["values"]) for each in kept["findings"])
    return Step(number=kept["step"], name=kept["name"], state=State(kept["state"]), findings=findings)


async def ask_check(
    connection: Connection,
    url: str,
    settings: Settings,
    *,
    kind: Kind = Kind.FIRST,
    registration: int | None = None,
) -> UUID:
    """The id of a check of this address: a new one, or the one that is open, or that was made a short while ago.

    `url` is in the form of `clean_url`. For a registration a new one is made, unless one is open. CheckRefused when so
    many were asked for lately that no more are taken.
    """
    place = place_of(url)
    async with connection.transaction():
        # two who ask at the same time get the same one
        await connection.execute(query("lock_place"), place)
        kept = timedelta(seconds=0 if registration is not None else settings.check_kept_s)
        found = await connection.fetchrow(query("find_check"), place, kind.value, kept)
        if found is not None and registration in (None, found["registration"]):
            known: UUID = found["id"]
            return known
        if found is not None and found["ended_at"] is None:
            raise CheckRefused("this instance is being checked right now: come again when that has ended", wait_s=30)
        if registration is None and await connection.fetchval(query("count_checks")) >= settings.checks_per_hour:
            raise CheckRefused("many instances were checked within the last hour: come again later", wait_s=600)
        made: UUID = await connection.fetchval(query("add_check"), kind.value, url, place, registration)
        return made


async def read_check(connection: Connection, check: UUID) -> Check | None:
    """A check with its steps."""
    row = await connection.fetchrow(query("read_check"), check)
    return None if row is None else Check.of_row(row)


async def waiting_checks(connection: Connection, attempts: int, silent: timedelta, most: int) -> list[int]:
    """Numbers of checks that are being done, or are next, `most` of them.

    Those that were begun `attempts` times and have been silent for so long are closed as broken.
    """
    return [row["n"] for row in await connection.fetch(query("waiting_checks"), attempts, silent, most)]


async def begin_check(connection: Connection, number: int) -> Row | None:
    """Its row with the number of this attempt; None when it has ended. What an earlier attempt saw is forgotten."""
    async with connection.transaction():
        row: Row | None = await connection.fetchrow(query("begin_check"), number)
        if row is not None:
            await connection.execute(query("forget_steps"), number)
        return row


async def write_step(connection: Connection, number: int, attempt: int, step: Step) -> bool:
    """Write a step down as it is now; False when another worker has begun this check anew."""
    findings = orjson.dumps([{"code": each.code, "values": dict(each.values)} for each in step.findings]).decode()
    row = await connection.fetchrow(
        query("write_step"), number, attempt, step.number, step.name, step.state.value, findings.replace("\\u0000", "")
    )
    return row is not None


def outcome_of(steps: tuple[Step, ...]) -> str:
    """What a check has come to.

    >>> outcome_of((Step(number=0, name="tls", state=State.OK), Step(number=1, name="cors", state=State.WARNING)))
    'warned'
    """
    states = {step.state for step in steps}
    return "failed" if State.FAILED in states else "warned" if State.WARNING in states else "passed"
