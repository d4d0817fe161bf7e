"""What one worker holds while it runs: settings, connections, the leaves and names it knows, document writers."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from catalog_api.connections import Connections, explain
from catalog_api.index import Index
from catalog_api.registry import Registry
from catalog_api.stac import Writer
from federation.database import Row
from federation.payload import Unpacker
from federation.queries import query
from federation.settings import Settings

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_TOTALS_FRESH_S = 5.0
#: A slow reader of a large answer may take this long between two chunks.
_SLOW_READER = "SET LOCAL idle_in_transaction_session_timeout = '60s'"


@dataclass(slots=True)
class OneConnection:
    """A source of statements that is one connection, within its transaction."""

    connection: asyncpg.Connection

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """The rows of one statement."""
        try:
            return await self.connection.fetch(statement, *arguments)
        except asyncpg.PostgresError as error:
            await explain(error)
            raise

    @asynccontextmanager
    async def use(self) -> AsyncIterator[asyncpg.Connection]:
        """The connection itself."""
        yield self.connection


@dataclass(slots=True)
class Catalog:
    """One worker's state; made at start, handed to every endpoint."""

    settings: Settings
    connections: Connections
    index: Index
    registry: Registry
    large_answers: asyncio.Semaphore
    _writers: dict[str, Writer] = field(default_factory=dict)
    _totals: Row | None = None
    _totals_at: float = 0.0

    def writer(self, host: str) -> Writer:
        """The writer for the address this catalog is known by.

        That is PANOFED_PUBLIC_URL; without it the address it listens on, or the loopback address the client used:
        other Host headers are not believed, since answers may be kept by others on the way.
        """
        base = self.settings.public_url
        if not base:
            base = f"http://{host}" if _LOOPBACK.fullmatch(host) else own_address(self.settings)
        writer = self._writers.get(base)
        if writer is None:
            if len(self._writers) >= 64:
                self._writers.clear()
            writer = self._writers[base] = Writer(f"{base}/api", self.settings.catalog_title, self.registry)
        return writer

    async def totals(self) -> Row:
        """What the whole catalog holds, a few seconds old at most: it is counted over all sequences."""
        if self._totals is None or time.monotonic() - self._totals_at > _TOTALS_FRESH_S:
            self._totals = (await self.index.fetch(query("catalog_totals")))[0]
            self._totals_at = time.monotonic()
        return self._totals

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Index]:
        """The index at one moment, for answers that need several statements."""
        async with self.connections.snapshot() as connection:
            await connection.execute(_SLOW_READER)
            yield Index(OneConnection(connection))


def own_address(settings: Settings) -> str:
    """The address of the socket this catalog listens on.

    >>> from federation.settings import load_settings
    >>> own_address(load_settings(host="0.0.0.0", port=8080))
    'http://127.0.0.1:8080'
    """
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


@asynccontextmanager
async def open_catalog(settings: Settings, dsn: str) -> AsyncIterator[Catalog]:
    """The state of one worker. The database need not be there yet."""
    connections = Connections(dsn, settings)
    registry = Registry(connections, Unpacker())
    large = asyncio.Semaphore(settings.large_answers_at_once)
    try:
        yield Catalog(settings, connections, Index(connections), registry, large)
    finally:
        await connections.close()
