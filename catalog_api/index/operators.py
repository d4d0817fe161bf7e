"""The worker's one connection that may change what an operator may change; opened by the first who needs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from federation.database import Role, connect, explained
from federation.settings import Settings


@dataclass(slots=True)
class Operators:
    """One connection as panofed_operator, one request at a time: operators are few. `dsn` is the primary server."""

    dsn: str
    settings: Settings
    _connection: asyncpg.Connection | None = None
    _free: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection; DatabaseUnavailable when the database does not answer in time."""
        async with explained("an operator's request"):
            async with asyncio.timeout(self.settings.statement_timeout_s), self._free:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await connect(self.dsn, Role.OPERATOR, self.settings)
                yield self._connection

    async def close(self) -> None:
        """Close it, if it is open."""
        if self._connection is not None:
            await self._connection.close(timeout=2)
