"""A tile for a request: its version first, then from what is kept, or made once for all who ask."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field

from catalog_api.index.index import Index
from catalog_api.tiles.content import Wanted, content_of
from catalog_api.tiles.hexagons import Outlines
from catalog_api.tiles.once import Flights, Locks
from catalog_api.tiles.shelf_file import ShelfFile
from catalog_api.tiles.store import Made, Store
from catalog_api.tiles.versions import Versions
from federation.settings import Settings


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
        made = Made.of(version, await content_of(self.index, self.outlines, wanted))
        # what changed while it was made may be in it or not: it answers those who asked before, and is not kept. One
        # that comes between this look and the keeping does no harm: who asks next compares with the newer version
        if await self.versions.of(wanted) == version:
            await self.store.keep(wanted.name(), made)
        return made

    def gauges(self) -> dict[str, float]:
        """For who watches."""
        return self.store.gauges() | {"tiles_made": self.made, "tiles_hits": self.hits}

    def close(self) -> None:
        """Let go of the files."""
        self.store.close()
        if self._locks is not None:
            self._locks.close()
