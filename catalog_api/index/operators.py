"""The worker's connections that may change what an operator may change: a kept one, and some for what takes longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from federation.database import Role, connect, explained
from federation.settings import Settings

#: Acts under way in one worker.
_ACTS_AT_ONCE = 2


@dataclass(slots=True)
class Operators:
    """Connections as panofed_operator. Operators are few: one is shared by all of them, one request at a time.

    `dsn` is the primary server.
    """

    dsn: str
    settings: Settings
    _connection: asyncpg.Connection | None = None
    _free: asyncio.Lock = field(default_factory=asyncio.Lock)
    _acting: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_ACTS_AT_ONCE))

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection; DatabaseUnavailable when the database does not answer in time."""
        async with explained("an operator's request"):
            async with asyncio.timeout(self.settings.statement_timeout_s), self._free:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self.dsn, Role.OPERATOR, self.settings)
                yield self._connection

    @asynccontextmanager
    async def act(self) -> AsyncIterator[asyncpg.Connection]:
        """One of its own, for what may wait for a merge to end, such as a takedown: pings and pages go on meanwhile."""
        async with explained("an operator's request"):
            async with asyncio.timeout(self.settings.merge_timeout_s), self._acting:
                connection = await connect(self.dsn, Role.OPERATOR, self.settings)
                try:
                    yield connection
                except BaseException:
                    connection.terminate()
                    raise
                await connection.close(timeout=2)

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            await self._connection.close(timeout=2)
