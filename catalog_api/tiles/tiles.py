"""A tile for a request: its version first, then from what is kept, or made once for all who ask."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from catalog_api.index.index import Index
from catalog_api.tiles.content import Map, Wanted, content_of
from catalog_api.tiles.hexagons import Outlines
from catalog_api.tiles.once import Flights, Locks
from catalog_api.tiles.shelf_file import ShelfFile
from catalog_api.tiles.store import Made, Store
from catalog_api.tiles.versions import Versions
from federation.errors import DatabaseError
from federation.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Tiles:
    """What one worker does for tiles. `made` counts those it had to make."""

    index: Index
    settings: Settings
    outlines: Outlines = field(default_factory=Outlines)
    versions: Versions = field(init=False)
    store: Store = field(init=False)
    made: int = 0
    hits: int = 0
    _locks: Locks | None = None
    _flights: Flights[Made] = field(default_factory=Flights)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)
    _is_learning: bool = False

    def __post_init__(self) -> None:
        self.versions = Versions(self.index.source)
        file = None
        if self.settings.tile_cache_bytes:
            folder = self.settings.data_dir / "tiles"
            file = ShelfFile(folder / "kept.sqlite", self.settings.tile_cache_bytes)
            self._locks = Locks(folder / "locks", self.settings.statement_timeout_s)
        self.store = Store(self.settings.tile_cache_memory_bytes, file)

    async def version(self, wanted: Wanted) -> str:
        """The version of the tile now: the ETag is made of it."""
        return await self.versions.of(wanted)

    async def get(self, wanted: Wanted, version: str) -> Made:
        """The tile with everything that was committed when it had this version, or more."""
        made = self.store.held(wanted.name(), version)
        if made is None:
            made = await self._flights.join(f"{wanted.name()} {version}", lambda: self._find(wanted, version))
        else:
            self.hits += 1
        return made

    async def _find(self, wanted: Wanted, version: str) -> Made:
        made = await self.store.kept(wanted.name(), version)
        if made is not None:
            self.hits += 1
            return made
        async with self._alone(wanted):
            # another worker may have made it meanwhile
            return await self.store.kept(wanted.name(), version) or await self._make(wanted, version)

    def _alone(self, wanted: Wanted) -> AbstractAsyncContextManager[None]:
        return nullcontext() if self._locks is None else self._locks.hold(wanted.name())

    async def _make(self, wanted: Wanted, version: str) -> Made:
        self.made += 1
        if wanted.map is Map.V2 and not self._is_learning:
            self._is_learning = True
            self._later(self._learn())
        made = Made.of(version, await content_of(self.index, self.outlines, wanted, self.versions.hidden))
        if self.settings.tile_cache_bytes or self.settings.tile_cache_memory_bytes:
            # those who wait for it need not wait for its keeping
            self._later(self._keep(wanted, made))
        return made

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _learn(self) -> None:
        """The first who asks for hexagons will not be the last."""
        try:
            await self.outlines.learn(self.index.source)
        except DatabaseError as error:
            self._is_learning = False
            logger.info("outlines are not learnt: %s", error, extra={"action": "tile outlines"})

    async def _keep(self, wanted: Wanted, made: Made) -> None:
        """Keep a tile that shows everything there is.

        What changed while it was made may be in it or not: it answers those who asked before, and is not kept. A change
        that comes between this look and the keeping does no harm: who asks next compares with the newer version.
        """
        try:
            if await self.versions.of(wanted) == made.version:
                await self.store.keep(wanted.name(), made)
        except DatabaseError as error:
            logger.info("a tile is not kept: %s", error, extra={"action": "tile cache"})

    def gauges(self) -> dict[str, float]:
        """For who watches."""
        return self.store.gauges() | {"tiles_made": self.made, "tiles_hits": self.hits}

    async def close(self) -> None:
        """Finish what is being kept, and let go of the files."""
        await asyncio.gather(*self._under_way)
        self.store.close()
        if self._locks is not None:
            self._locks.close()
