"""How long a change took from the origin's `updated` to our commit: a histogram by instance and day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from federation.database import Connection
from federation.queries import query

#: Upper bounds of the buckets in seconds; what took longer than the last but one is in the last.
BUCKETS_S = (1, 2, 5, 10, 20, 30, 45, 60, 120, 300, 900, 3_600, 21_600, 86_400, 604_800, 2_147_483_647)


async def note_freshness(connection: Connection, instance: int, updated: Sequence[datetime]) -> None:
    """Count these changes; called at the end of the transaction that brings them in.

    A clock of the instance that is ahead of ours counts as no time at all.
    """
    if updated:
        await connection.execute(query("note_freshness"), instance, list(updated), list(BUCKETS_S))
