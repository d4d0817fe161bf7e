"""The worker's connections to the index: opened when needed, kept, replaced when lost. No reset between two uses.

asyncpg's own pool sends a reset statement after every use: a second round trip for a request that needs one.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import asyncpg

from catalog_api.edge.responses import BadRequest
from federation.database import Role, Row, connect, explained
from federation.errors import DatabaseUnavailable, QueryTooLong, StaleLeaves
from federation.settings import Settings

#: More than the server's own limit for a statement: a server that is frozen must not freeze us.
_PATIENCE_S = 5.0
#: What leaf_guard() raises.
_LEAVES_CHANGED = "PF001"
#: What the driver raises; the third is what it says of a connection whose server was killed a moment ago.
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
#: (x, y), in network order.
_POINT = struct.Struct("!dd")


def _pack_point(point: tuple[float, float]) -> bytes:
    return _POINT.pack(*point)


@dataclass(slots=True)
class Connections:
    """Read-only connections. Every statement is one trip; faults come out as DatabaseError."""

    dsn: str
    settings: Settings
    _idle: list[asyncpg.Connection] = field(default_factory=list)
    _free: asyncio.Semaphore = field(init=False)
    _in_use: int = 0
    _waiting: int = 0

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.settings.pool_size)

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """The rows of one statement."""
        # written out, not by `use`: this is the hot path
        await self._wait()
        connection: asyncpg.Connection | None = None
        try:
            async with asyncio.timeout(self.settings.statement_timeout_s + _PATIENCE_S):
                connection = await self._take()
                return await connection.fetch(statement, *arguments)
        except _FAULTS as error:
            await explain(error)
            raise
        finally:
            self._give_back(connection)

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """One connection in one read-only transaction that sees one state of the index to its end."""
        async with self.use() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
            yield connection

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """One connection, for several statements."""
        await self._wait()
        connection: asyncpg.Connection | None = None
        try:
            connection = await self._take()
            yield connection
        except _FAULTS as error:
            await explain(error)
            raise
        finally:
            self._give_back(connection)

    async def close(self) -> None:
        """Close what is idle; nothing else is left when requests have ended."""
        while self._idle:
            await self._idle.pop().close(timeout=2)

    def gauges(self) -> dict[str, float]:
        """How busy they are at this moment."""
        return {
            "pool_size": self.settings.pool_size,
            "pool_connections_in_use": self._in_use,
            "pool_connections_idle": len(self._idle),
            "pool_requests_waiting": self._waiting,
        }

    async def _wait(self) -> None:
        if not self._free.locked():
            await self._free.acquire()
        else:
            await self._queue()
        self._in_use += 1

    async def _queue(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self.settings.statement_timeout_s + _PATIENCE_S):
                await self._free.acquire()
        except TimeoutError as error:
            raise DatabaseUnavailable("every connection of this worker is in use") from error
        finally:
            self._waiting -= 1

    async def _take(self) -> asyncpg.Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return await self._open()

    async def _open(self) -> asyncpg.Connection:
        connection = await connect(self.dsn, Role.READER, self.settings)
        try:
            # a picture's row has two points: as plain tuples they cost a tenth of the driver's own objects
            await connection.set_type_codec(
                "point", schema="pg_catalog", format="binary", encoder=_pack_point, decoder=_POINT.unpack
            )
            # and three times: read from text they cost a fifth
            await connection.set_type_codec(
                "timestamptz", schema="pg_catalog", encoder=datetime.isoformat, decoder=datetime.fromisoformat
            )
        except BaseException:
            connection.terminate()
            raise
        return connection

    def _give_back(self, connection: asyncpg.Connection | None) -> None:
        if connection is not None and not connection.is_closed():
            if connection.is_in_transaction():
                connection.terminate()
            else:
                self._idle.append(connection)
        self._in_use -= 1
        self._free.release()


async def explain(error: Exception) -> None:
    """Raise what a fault of the driver means to us."""
    if isinstance(error, asyncpg.QueryCanceledError):
        raise QueryTooLong("the request asks for too much: ask for a smaller place or fewer results") from error
    if isinstance(error, asyncpg.PostgresError) and error.sqlstate == _LEAVES_CHANGED:
        raise StaleLeaves(str(error)) from error
    if isinstance(error, asyncpg.DataError):
        # the net below the checks of each parameter: a value that the database cannot hold is never its own fault
        raise BadRequest("request", "", f"has a value the index cannot compare: {error}") from error
    if isinstance(error, TimeoutError):
        raise DatabaseUnavailable("the database does not answer in time") from error
    async with explained("asking the index"):
        raise error
