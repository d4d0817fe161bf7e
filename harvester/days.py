"""What is written down of every day of an instance: each visit as it ends, and what is held of all of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from federation.database import Connection, Pool, explained
from federation.errors import OriginError
from federation.queries import query
from federation.quiet_hours import QuietHours
from federation.settings import Settings
from harvester.brake import BrakePulled
from harvester.progress import Progress


def answered(error: Exception | None) -> bool | None:
    """Whether the instance answered a visit that ended so; None when it has no part in that, such as a full disk.

    >>> from federation.errors import DatabaseFull
    >>> answered(None), answered(OriginError("no answer")), answered(DatabaseFull("full"))
    (True, False, None)
    """
    if error is None or isinstance(error, BrakePulled):
        return True
    return False if isinstance(error, OriginError) else None


async def note_visit(
    connection: Connection, instance: int, run: int, progress: Progress, *, answered: bool, settings: Settings,
    expected: datetime | None = None,
) -> None:  # fmt: skip
    """Add a visit to its day, in the transaction that closes it. `expected`: when the next one is planned."""
    told = progress.answers
    await connection.execute(
        query("note_visit"), instance, run, answered, progress.requests, told.answering_s, told.slowest_s,
        progress.received_bytes, progress.pictures_changed, progress.pictures_removed, progress.pictures_quarantined,
        "" if answered else progress.last_error, timedelta(seconds=settings.health_late_s),
        told.certificate_until, expected,
    )  # fmt: skip


def expected_at(pause: timedelta, quiet_hours: str) -> datetime:
    """When the next visit of an instance will begin, at the latest: after its quiet hours, if it falls into them."""
    planned = datetime.now(UTC) + pause
    return (QuietHours.parse(quiet_hours).until(planned) if quiet_hours else None) or planned


async def count_held(pool: Pool) -> bool:
    """Count what is held of every instance into today's row, if it changed; returns whether it was done."""
    async with explained("counting what is held"):
        if not await pool.fetchval(query("must_count")):
            return False
        await pool.execute(query("count_held"))
        return True
