"""Checks as jobs: what visitors and registrations ask for is done here and written down, and what follows from it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from federation.checks import Kind, Step, begin_check, outcome_of, waiting_checks, write_step
from federation.database import Pool, Row, explained
from federation.errors import DatabaseError
from federation.place import place_of
from federation.queries import query
from federation.registrations import settle
from federation.settings import Settings
from harvester.probe.run import Result, run_check

logger = logging.getLogger(__name__)

#: A check that was begun so often and never ended is given up.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class KnownInstances:
    """What this catalog knows of other instances, `but` of the one that a registration became or moves."""

    pool: Pool
    but: int | None = None

    async def at(self, place: str) -> list[str]:
        """Names of instances at this place."""
        async with explained("looking for known instances"):
            rows = await self.pool.fetch(query("known_addresses"))
        return [row["name"] for row in rows if _stands_at(row, place) and row["n"] != self.but]

    async def holders(self, sequences: list[str]) -> dict[str, int]:
        """How many of these sequences each instance holds."""
        async with explained("looking for known sequences"):
            rows = await self.pool.fetch(query("holders_of_sequences"), sequences, self.but)
        return {row["name"]: row["sequences"] for row in rows}

    async def asset_hosts(self, place: str) -> list[str]:
        """Hosts that entries or moderators confirmed."""
        async with explained("looking for known instances"):
            rows = await self.pool.fetch(query("known_addresses"))
        return [host for row in rows if _stands_at(row, place) for host in row["asset_hosts"]]


def _stands_at(row: Row, place: str) -> bool:
    return place_of(row["url"]) == place and not row["has_left"]


class _Replaced(DatabaseError):
    """Another worker has begun this check anew."""


async def checks_to_do(pool: Pool, settings: Settings) -> list[int]:
    """Numbers of the checks that are to become jobs."""
    silent = timedelta(seconds=settings.check_timeout_s + settings.run_lease_s)
    async with explained("reading checks"), pool.acquire() as connection:
        return await waiting_checks(connection, ATTEMPTS, silent, settings.checks_at_once)


async def do_check(pool: Pool, number: int, settings: Settings) -> str:
    """Do a check from its beginning, unless it has ended; its outcome, or "" when there was nothing to do."""
    async with explained("beginning a check"), pool.acquire() as connection:
        row = await begin_check(connection, number)
        if row is None:
            return ""
        wanted = None if row["registration"] is None else await connection.fetchrow(
            query("registration_to_check"), row["registration"]
        )  # fmt: skip
    attempt: int = row["attempt"]

    async def report(step: Step) -> None:
        async with explained("writing a check"), pool.acquire() as connection:
            if not await write_step(connection, number, attempt, step):
                raise _Replaced(f"check {number} was begun anew by another worker")

    full = row["kind"] == Kind.FULL
    try:
        result = await run_check(
            row["url"], settings, report, full=full,
            known=KnownInstances(pool, None if wanted is None else wanted["own"]),
            published=wanted["proof"] if full and wanted is not None else "",
            blurring="" if wanted is None else wanted["blurring"],
            proof_only=wanted is not None and wanted["approved"],
        )  # fmt: skip
    except _Replaced:
        return ""
    outcome = outcome_of(result.steps)
    await _end(pool, number, attempt, outcome, row["registration"], result, settings)
    logger.info("check ended", extra={"url": row["url"], "outcome": outcome})
    return outcome


async def _end(
    pool: Pool, number: int, attempt: int, outcome: str, registration: int | None, result: Result, settings: Settings
) -> None:
    """Close it, with all that follows for its registration, or nothing of both."""
    async with explained("ending a check"), pool.acquire() as connection, connection.transaction():
        ended = await connection.fetchval(query("end_check"), number, attempt, outcome)
        if ended is not None and registration is not None:
            await settle(connection, registration, outcome, result.proved_by, settings)


async def expire(pool: Pool, settings: Settings) -> None:
    """Close registrations with which nobody went on."""
    async with explained("expiring registrations"):
        await pool.execute(query("expire_registrations"), timedelta(days=settings.registration_days))
