"""What no signal told: sequences the index has and a complete listing has not. Inferred absence is held by a brake."""

from __future__ import annotations

import uuid

from federation.database import Pool
from federation.errors import OriginError
from federation.queries import query
from federation.settings import Settings


class BrakePulled(OriginError):
    """Too much of an instance would disappear without its word: nothing is changed, a person is asked."""


async def unlisted_sequences(pool: Pool, instance: int, listed: set[uuid.UUID], settings: Settings) -> list[int]:
    """Numbers of the instance's sequences that a complete listing did not name.

    Raises BrakePulled, and pauses the instance, when they hold more than `brake_share` of its pictures and more than
    `brake_pictures`: an empty or broken answer must not empty the catalog.
    """
    rows = await pool.fetch(query("merged_sequences"), instance)
    missing = [row for row in rows if row["id"] not in listed]
    lost, total = sum(row["pictures"] for row in missing), sum(row["pictures"] for row in rows)
    if lost > settings.brake_pictures and lost > settings.brake_share * total:
        reason = f"{lost:,} of {total:,} pictures are missing from its listing, which gave no word of their removal"
        await pool.execute(query("brake_instance"), instance, reason)
        raise BrakePulled(reason)
    return [row["n"] for row in missing]
