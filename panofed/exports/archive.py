"""Writes the whole map as one PMTiles archive, which any file server can serve: resumable, verified when written."""

from __future__ import annotations

import asyncio
import gzip
import os
import random
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pmtiles.reader import MmapSource, Reader
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from catalog_api.index.connections import Connections
from catalog_api.index.index import Index
from catalog_api.tiles.address import EDGE_DEG, ZOOM_MAX, Tile
from catalog_api.tiles.content import Map, Wanted, content_of
from catalog_api.tiles.covered import covered_tiles
from catalog_api.tiles.hexagons import Outlines
from catalog_api.tiles.shelf_file import ShelfFile
from catalog_api.tiles.style import tilejson
from catalog_api.tiles.versions import Versions
from federation.errors import ExportError
from federation.settings import Settings

#: Tiles made at the same time; versions are asked for so many tiles at once.
_AT_ONCE = 4
_TOGETHER = 200
#: Tiles that are compared with live ones when the archive is written: of those in it, and of those around it.
_COMPARED = 200
_GZIP_LEVEL = 6
#: PMTiles counts degrees in ten-millionths.
_E7 = 10_000_000
_UNBOUNDED = 1 << 60


@dataclass(slots=True)
class Progress:
    """How far it is; the functions are called as it goes on."""

    on_start: Callable[[int], None] = lambda tiles: None
    on_tile: Callable[[], None] = lambda: None
    on_compare: Callable[[int], None] = lambda tiles: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written. `kept` tiles came from an export that was cut off; `compared` were the same as live ones."""

    tiles: int
    kept: int
    bytes: int
    compared: int


@dataclass(slots=True, kw_only=True)
class Archive:
    """One run. Finished tiles stand in `<file>.partial` until the archive is there: who starts again goes on there."""

    settings: Settings
    dsn: str
    file: Path
    map: Map = Map.V1
    progress: Progress = field(default_factory=Progress)
    _index: Index = field(init=False)
    _versions: Versions = field(init=False)
    _outlines: Outlines = field(default_factory=Outlines)
    _kept: int = 0
    _empty: set[Tile] = field(default_factory=set)

    def write(self) -> Written:
        """Make every tile, put them together, read them back."""
        try:
            return asyncio.run(self._write())
        except OSError as error:
            raise ExportError(f"{self.file}: {error.strerror or error}") from error

    async def _write(self) -> Written:
        connections = Connections(self.dsn, self.settings)
        self._index = Index(connections)
        self._versions = Versions(connections)
        self.file.parent.mkdir(parents=True, exist_ok=True)
        shelf = ShelfFile(self._beside("partial"), _UNBOUNDED)
        try:
            tiles = await self._tiles()
            if not tiles:
                raise ExportError("there is nothing on the map yet")
            self.progress.on_start(len(tiles))
            versions = await self._assemble(tiles, shelf)
            compared = await self._compare(tiles, versions)
            os.replace(self._beside("new"), self.file)
        finally:
            # there only when something failed: what is finished is on the shelf
            self._beside("new").unlink(missing_ok=True)
            shelf.close()
            await connections.close()
        shelf.drop()
        size = self.file.stat().st_size
        return Written(tiles=len(versions) - len(self._empty), kept=self._kept, bytes=size, compared=compared)

    def _beside(self, suffix: str) -> Path:
        return self.file.with_name(f"{self.file.name}.{suffix}")

    async def _tiles(self) -> list[Tile]:
        """In the order of the archive."""
        covered = await covered_tiles(self._index.source)
        tiles = [tile for each in covered.values() for tile in each]
        return sorted(tiles, key=lambda tile: int(zxy_to_tileid(tile.z, tile.x, tile.y)))

    async def _assemble(self, tiles: Sequence[Tile], shelf: ShelfFile) -> dict[Tile, str]:
        """Write the archive under its new name; returns the versions that all tiles had when they were made."""
        versions: dict[Tile, str] = {}
        with self._beside("new").open("wb") as file, tempfile.TemporaryFile(dir=self.file.parent) as pieces:
            writer = Writer(file)
            # its own would be on the disk of temporary files
            writer.tile_f.close()
            writer.tile_f = pieces
            for start in range(0, len(tiles), _TOGETHER):
                some = tiles[start : start + _TOGETHER]
                for tile, (version, body) in zip(some, await self._finished(some, shelf), strict=True):
                    versions[tile] = version
                    if body:
                        writer.write_tile(zxy_to_tileid(tile.z, tile.x, tile.y), body)
                    else:
                        self._empty.add(tile)
            if len(self._empty) == len(tiles):
                raise ExportError("there is nothing on the map yet")
            writer.finalize(self._header(), self._metadata())
            file.flush()
            os.fsync(file.fileno())
        return versions

    async def _finished(self, tiles: Sequence[Tile], shelf: ShelfFile) -> list[tuple[str, bytes]]:
        """The version and compressed bytes of each: as they were kept, where they are still current, or made."""
        versions = await asyncio.gather(*(self._versions.of(Wanted(self.map, tile)) for tile in tiles))
        free = asyncio.Semaphore(_AT_ONCE)

        async def finish(tile: Tile, version: str) -> tuple[str, bytes]:
            wanted = Wanted(self.map, tile)
            async with free:
                body = await asyncio.to_thread(shelf.get, wanted.name(), version)
                if body is None:
                    made = await content_of(self._index, self._outlines, wanted, self._versions.hidden)
                    # in a thread: this is most of the work, and lets go of the interpreter
                    body = await asyncio.to_thread(gzip.compress, made, _GZIP_LEVEL, mtime=0) if made else b""
                    await asyncio.to_thread(shelf.put, wanted.name(), version, body)
                else:
                    self._kept += 1
            self.progress.on_tile()
            return version, body

        under_way = [asyncio.create_task(finish(tile, version)) for tile, version in zip(tiles, versions, strict=True)]
        try:
            return await asyncio.gather(*under_way)
        finally:
            # one that failed ends the others, before what they use is closed
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    def _header(self) -> dict[str, Any]:
        edge = int(EDGE_DEG * _E7)
        return {
            "tile_type": TileType.MVT, "tile_compression": Compression.GZIP,
            "min_lon_e7": -180 * _E7, "min_lat_e7": -edge, "max_lon_e7": 180 * _E7, "max_lat_e7": edge,
            "center_zoom": 0, "center_lon_e7": 0, "center_lat_e7": 0,
        }  # fmt: skip

    def _metadata(self) -> dict[str, Any]:
        told = tilejson("", self.settings.catalog_title, hexagons=self.map is Map.V2)
        return {
            "name": told["name"],
            "description": self.settings.catalog_description,
            "vector_layers": told["vector_layers"],
            "type": "overlay",
        }

    async def _compare(self, tiles: Sequence[Tile], versions: dict[Tile, str]) -> int:
        """Read the archive back, and compare some tiles with live ones that are unchanged since; returns how many."""
        compared = 0
        with self._beside("new").open("rb") as file:
            reader = Reader(MmapSource(file))
            header, count = reader.header(), len(versions) - len(self._empty)
            if header["addressed_tiles_count"] != count or header["max_zoom"] != ZOOM_MAX:
                raise ExportError(f"{self.file}: {header['addressed_tiles_count']} tiles instead of {count}")
            some = random.sample(tiles, min(len(tiles), _COMPARED))
            self.progress.on_compare(len(some))
            for tile in some:
                self.progress.on_tile()
                found = reader.get(tile.z, tile.x, tile.y)
                if (found is None) != (tile in self._empty):
                    raise ExportError(f"{self.file}: tile {tile} is {'missing' if found is None else 'there'}")
                live = await content_of(self._index, self._outlines, Wanted(self.map, tile), self._versions.hidden)
                if await self._versions.of(Wanted(self.map, tile)) != versions[tile]:
                    continue
                if (b"" if found is None else gzip.decompress(found)) != live:
                    raise ExportError(f"{self.file}: tile {tile} is not as the live one")
                compared += 1
        return compared
