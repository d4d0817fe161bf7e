"""Finished tiles of one worker: in memory, behind that in the file of all workers. A hit has the version asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field

import zstandard

from catalog_api.edge.codings import compress
from catalog_api.tiles.shelf_file import ShelfFile

#: A tile is compressed once and sent often: level 6 takes 15 ms a megabyte and saves a tenth against level 1.
_LEVEL = 6
_ZSTD = b"zstd"
#: What an entry costs besides its bytes.
_ENTRY_BYTES = 500
#: Below, compressing makes nothing smaller.
_COMPRESS_FROM_BYTES = 100


@dataclass(slots=True)
class Made:
    """A tile as it was at one version: its bytes by coding, b"" for none. Codings come when first asked for."""

    version: str
    coded: dict[bytes, bytes]

    @classmethod
    def of(cls, version: str, body: bytes) -> Made:
        """From the tile's own bytes."""
        return cls(version, {b"": body})

    def pack(self) -> bytes:
        """Keep it compressed only, where that is smaller: few read it without a coding. Returns those bytes."""
        plain = self.coded.get(b"")
        if plain is not None and len(plain) >= _COMPRESS_FROM_BYTES:
            self.coded[_ZSTD] = zstandard.ZstdCompressor(level=_LEVEL).compress(plain)
            del self.coded[b""]
        return self.coded.get(_ZSTD, plain or b"")

    @property
    def is_empty(self) -> bool:
        """Nothing is in the tile."""
        return self.coded.get(b"") == b""

    def size_bytes(self) -> int:
        """All its codings."""
        return _ENTRY_BYTES + sum(map(len, self.coded.values()))

    async def body(self, coding: bytes | None) -> tuple[bytes, bytes]:
        """(bytes, the coding they are in), the coding b"" where that is as well."""
        if coding is not None and coding in self.coded:
            return self.coded[coding], coding
        plain = self.coded.get(b"")
        if plain is None:
            plain = zstandard.decompress(self.coded[_ZSTD])
        if coding is None or len(plain) < _COMPRESS_FROM_BYTES:
            return plain, b""
        made = self.coded[coding] = await compress(plain, coding)
        return made, coding


@dataclass(slots=True)
class Store:
    """Tiles by name. `memory_bytes` bounds what this worker holds; `file` is None without a file."""

    memory_bytes: int
    file: ShelfFile | None
    _held: OrderedDict[str, Made] = field(default_factory=OrderedDict)
    _sizes: dict[str, int] = field(default_factory=dict)
    _held_bytes: int = 0

    def held(self, name: str, version: str) -> Made | None:
        """From memory."""
        made = self._held.get(name)
        if made is None or made.version != version:
            return None
        self._held.move_to_end(name)
        if made.size_bytes() != self._sizes[name]:
            # another coding of it was asked for
            self._hold(name, made)
        return made

    async def kept(self, name: str, version: str) -> Made | None:
        """From the file."""
        if self.file is None:
            return None
        body = await asyncio.to_thread(self.file.get, name, version)
        if body is None:
            return None
        # what is not compressed is short, and never begins as a zstd frame does
        made = Made(version, {_ZSTD if body.startswith(zstandard.MAGIC_NUMBER.to_bytes(4, "little")) else b"": body})
        self._hold(name, made)
        return made

    async def keep(self, name: str, made: Made) -> None:
        """Put a tile that is current now into both."""
        self._hold(name, made)
        body = await asyncio.to_thread(made.pack)
        if self.file is not None:
            await asyncio.to_thread(self.file.put, name, made.version, body)

    def gauges(self) -> dict[str, float]:
        """How much is held in memory."""
        return {"tiles_held": len(self._held), "tiles_held_bytes": self._held_bytes}

    def close(self) -> None:
        """Let go of the file."""
        if self.file is not None:
            self.file.close()

    def _hold(self, name: str, made: Made) -> None:
        self._held[name] = made
        self._held.move_to_end(name)
        self._held_bytes += made.size_bytes() - self._sizes.get(name, 0)
        self._sizes[name] = made.size_bytes()
        while self._held_bytes > self.memory_bytes and self._held:
            oldest, _ = self._held.popitem(last=False)
            self._held_bytes -= self._sizes.pop(oldest)
