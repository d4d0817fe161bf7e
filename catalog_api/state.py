"""What one worker holds while it runs: settings, connections, the leaves and names it knows, document writers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
import xxhash
from starlette.requests import Request

from catalog_api.answers.stac import Writer
from catalog_api.edge.attempts import Attempts
from catalog_api.edge.forwarded import BaseAddress, Proxies
from catalog_api.edge.limits import Buckets
from catalog_api.edge.responses import Answer
from catalog_api.edge.tally import Tally
from catalog_api.index.connections import Connections, explain
from catalog_api.index.feed import Latest
from catalog_api.index.figures import Figures, Kept
from catalog_api.index.health import HealthFigures
from catalog_api.index.index import Index
from catalog_api.index.operators import Operators
from catalog_api.index.registry import Registry
from catalog_api.index.visits import Visits
from catalog_api.slots import ALONE, Slot, own_address
from catalog_api.tiles.tiles import Tiles
from catalog_api.watch.watched import Stored, watch
from federation.database import Row
from federation.payload import Unpacker
from federation.queries import query
from federation.settings import Settings

_TOTALS_FRESH_S = 5.0
#: The database waits for a slow reader a little longer than the connection to it is kept.
_SLOW_READER = "SET LOCAL idle_in_transaction_session_timeout = {ms}"
_SLOW_READER_MARGIN_S = 5.0


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
    #: answers as rows, which may go on for long
    row_answers: asyncio.Semaphore
    #: clients that wait for changes
    waiting: asyncio.Semaphore
    proxies: Proxies
    tally: Tally = field(default_factory=Tally)
    slot: Slot = ALONE
    latest_change: Latest = field(default_factory=Latest)
    figures: Figures = field(init=False)
    health: HealthFigures = field(init=False)
    visits: Visits = field(init=False)
    watched: Kept[Stored] = field(init=False)
    operators: Operators = field(init=False)
    #: wrong secrets of each client
    attempts: Attempts = field(init=False)
    #: how often each client lets an instance be checked
    checks: Buckets = field(init=False)
    tiles: Tiles = field(init=False)
    #: the landing page of each address, and the figures it was made of
    landings: dict[str, tuple[tuple[object, ...], Answer]] = field(default_factory=dict)
    _writers: dict[str, Writer] = field(default_factory=dict)
    _totals: Row | None = None
    _totals_at: float = 0.0
    _totals_of: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        self.figures = Figures(self.index, self.settings)
        self.health = HealthFigures(self.index, self.settings, self.figures)
        self.visits = Visits(self.index, self.settings)
        self.watched = watch(self.index, self.health, self.visits)
        self.tiles = Tiles(self.index, self.settings)
        self.attempts = Attempts(most=self.settings.sign_in_failures, window_s=self.settings.sign_in_window_s)
        hourly = self.settings.client_checks_per_hour
        self.checks = Buckets(per_s=hourly / 3_600, burst=hourly)
        # what is read may be a replica: changes go to the primary server
        self.operators = Operators(self.settings.database_url or self.connections.dsn, self.settings)

    def writer(self, host: str) -> Writer:
        """The writer for the address this catalog is known by.

        That is PANOFED_PUBLIC_URL; without it what a trusted proxy says (a BaseAddress), or a Host header that is
        allowed or names this machine, or the address it listens on. Other Host headers are not believed, since answers
        may be kept by others on the way.
        """
        base = self.settings.public_url
        if not base:
            if isinstance(host, BaseAddress):
                base = host
            else:
                base = f"http://{host.lower()}" if self.proxies.allows(host) else own_address(self.settings)
        writer = self._writers.get(base)
        if writer is None:
            if len(self._writers) >= 64:
                self._writers.clear()
            writer = self._writers[base] = Writer(f"{base}/api", self.settings.catalog_title, self.registry)
        return writer

    async def totals(self) -> Row:
        """What the whole catalog holds, a few seconds old at most: it is counted over all sequences."""
        hidden = await self.index.hidden()
        if self._totals is None or self._totals_of != hidden or time.monotonic() - self._totals_at > _TOTALS_FRESH_S:
            self._totals = (await self.index.fetch(query("catalog_totals")))[0]
            self._totals_at, self._totals_of = time.monotonic(), hidden
        return self._totals

    async def validator(self) -> bytes:
        """An ETag for an answer whose bytes are not known before they are sent: which changes the database holds.

        Any change makes another one, whatever was asked. Taken before the answer is read, it can be older than the
        answer, never newer.
        """
        state = (await self.index.fetch(query("catalog_state")))[0]
        text = f"{tuple(state)} {self.settings!r}"
        return b'W/"s%x"' % xxhash.xxh3_64_intdigest(text.encode())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Index]:
        """The index at one moment, for answers that need several statements."""
        async with self.connections.snapshot() as connection:
            patience_s = self.settings.slow_reader_timeout_s + _SLOW_READER_MARGIN_S
            await connection.execute(_SLOW_READER.format(ms=int(patience_s * 1_000)))
            yield Index(OneConnection(connection))


@asynccontextmanager
async def open_catalog(
    settings: Settings, dsn: str, slot: Slot = ALONE, tally: Tally | None = None
) -> AsyncIterator[Catalog]:
    """The state of one worker. The database need not be there yet."""
    connections = Connections(dsn, settings)
    registry = Registry(connections, Unpacker())
    large = asyncio.Semaphore(settings.large_answers_at_once)
    rows = asyncio.Semaphore(settings.exports_at_once)
    waiting = asyncio.Semaphore(settings.changes_waiting_max)
    kept = Tally() if tally is None else tally
    catalog = Catalog(
        settings, connections, Index(connections), registry, large, rows, waiting, Proxies.of(settings), kept, slot
    )
    try:
        yield catalog
    finally:
        await catalog.tiles.close()
        await catalog.operators.close()
        await connections.close()


def catalog_of(request: Request) -> Catalog:
    """The worker's state."""
    catalog: Catalog = request.scope["state"]["catalog"]
    return catalog
