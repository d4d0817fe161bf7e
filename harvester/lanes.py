"""The lanes of one visit, opened when there is something to read: most visits find nothing new and need none."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from federation.database import explained
from federation.settings import Settings
from harvester.lane import Lane
from harvester.tasks import LaneState


@dataclass(slots=True)
class Lanes:
    """At most `most` of them; each is a database connection, and is kept until the visit ends."""

    dsn: str
    settings: Settings
    most: int
    opened: list[LaneState] = field(default_factory=list)

    async def for_sequences(self, count: int) -> list[LaneState]:
        """Lanes to read so many sequences by: opening one costs as much as reading a few."""
        wanted = min(self.most, -(-count // self.settings.visit_lane_sequences))
        async with explained("opening a lane"):
            while len(self.opened) < max(1, wanted):
                self.opened.append(LaneState(await Lane.open(self.dsn, self.settings)))
        return self.opened

    async def first(self) -> Lane:
        """Any one of them."""
        return (await self.for_sequences(1))[0].lane

    async def close(self) -> None:
        """Close what was opened."""
        async with AsyncExitStack() as stack:
            for state in self.opened:
                stack.push_async_callback(state.lane.close)
