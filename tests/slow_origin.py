"""An instance whose every answer takes a while, and that writes down how many requests it has open."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from aiohttp import web

from tests.origin import Origin


@dataclass(slots=True)
class Log:
    """When each request came, and how many were open then, itself included; seconds of the monotonic clock."""

    came: list[float] = field(default_factory=list)
    open: list[int] = field(default_factory=list)
    now_open: int = 0

    @property
    def most_open(self) -> int:
        return max(self.open, default=0)

    def most_within(self, seconds: float) -> int:
        """The largest number of requests that came within any such time."""
        most = first = 0
        for last, at in enumerate(self.came):
            while at - self.came[first] >= seconds:
                first += 1
            most = max(most, last - first + 1)
        return most


class SlowOrigin(Origin):
    """`delay_s` for every answer, but those of the landing page and configuration."""

    def __init__(self, *, delay_s: float, seed: int = 1) -> None:
        super().__init__(seed=seed)
        self.delay_s, self.log = delay_s, Log()
        self.hook = self._slowly

    async def _slowly(self, request: web.Request) -> web.Response | None:
        log = self.log
        log.now_open += 1
        log.came.append(time.monotonic())
        log.open.append(log.now_open)
        try:
            if "collections" in request.path:
                await asyncio.sleep(self.delay_s)
        finally:
            log.now_open -= 1
        return None

    def fill(self, sequences: int, pictures: int = 2) -> None:
        """Streets all over the world, so that many leaves are written to."""
        for _ in range(sequences):
            at = (self.random.uniform(-170, 170), self.random.uniform(-60, 70))
            self.add_sequence(pictures=pictures, at=at)
