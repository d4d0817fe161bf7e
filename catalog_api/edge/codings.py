"""Content codings: which one a client likes best, bodies compressed at once or, for streams, piece by piece."""

from __future__ import annotations

import asyncio
import zlib
from functools import lru_cache
from typing import Protocol

import brotli
import zstandard
from isal import igzip

#: Below this, compressing costs more than it saves.
COMPRESS_FROM_BYTES = 1_024
#: From here on a thread compresses, and others are answered meanwhile: a megabyte takes 2 (gzip) to 6 ms (brotli).
_IN_A_THREAD_FROM_BYTES = 131_072
#: The cheapest levels: pages are made for one reader.
_ZSTD_LEVEL, _BROTLI_QUALITY, _GZIP_LEVEL = 1, 1, 1
#: The one that is used between equals first.
CODINGS = (b"zstd", b"br", b"gzip")
_zstd = zstandard.ZstdCompressor(level=_ZSTD_LEVEL)


# bounded: clients write these
@lru_cache(maxsize=256)
def preferred(accepted: bytes, among: tuple[bytes, ...] = CODINGS) -> bytes | None:
    """The coding to use: what the client weighs most; between equals zstd, then br, then gzip.

    >>> preferred(b"gzip, deflate, br, zstd"), preferred(b"gzip;q=1.0, zstd;q=0"), preferred(b"identity")
    (b'zstd', b'gzip', None)
    >>> preferred(b"gzip;q=0.5, br"), preferred(b"*"), preferred(b"*;q=0"), preferred(b"")
    (b'br', b'gzip', None, None)
    """
    weights: dict[bytes, float] = {}
    for part in accepted.lower().split(b","):
        name, _, parameter = part.partition(b";")
        weights[name.strip()] = _weight(parameter)
    # who says "anything" means what everybody can read: programs write it that read nothing but gzip
    weights.setdefault(b"gzip", weights.get(b"*", 0.0))
    best = max(among, key=lambda coding: weights.get(coding, 0.0))
    return best if weights.get(best, 0.0) > 0 else None


def _weight(parameter: bytes) -> float:
    key, _, value = parameter.strip().partition(b"=")
    if key.strip() != b"q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


async def compress(body: bytes, coding: bytes) -> bytes:
    """The body in one of the codings."""
    if len(body) >= _IN_A_THREAD_FROM_BYTES:
        return await asyncio.to_thread(compressed, body, coding)
    # the hot path: making a compressor takes 4 times as long as using it. Never in a thread: it is not made for two
    return _zstd.compress(body) if coding == b"zstd" else compressed(body, coding)


def compressed(body: bytes, coding: bytes) -> bytes:
    """The body in one of the codings, whole.

    >>> igzip.decompress(compressed(b"a", b"gzip")), brotli.decompress(compressed(b"b", b"br"))
    (b'a', b'b')
    """
    if coding == b"zstd":
        return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(body)
    if coding == b"br":
        return bytes(brotli.compress(body, quality=_BROTLI_QUALITY))
    return igzip.compress(body, _GZIP_LEVEL, mtime=0)


class _Coder(Protocol):
    def piece(self, data: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class _Zstd:
    def __init__(self) -> None:
        self._coder = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compressobj()

    def piece(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)

    def end(self) -> bytes:
        return self._coder.flush()


class _Brotli:
    def __init__(self) -> None:
        self._coder = brotli.Compressor(quality=_BROTLI_QUALITY)

    def piece(self, data: bytes) -> bytes:
        return bytes(self._coder.process(data)) + bytes(self._coder.flush())

    def end(self) -> bytes:
        return bytes(self._coder.finish())


class _Gzip:
    def __init__(self) -> None:
        # 16 more than the window asks zlib for gzip's frame
        self._coder = zlib.compressobj(_GZIP_LEVEL, wbits=16 + zlib.MAX_WBITS)

    def piece(self, data: bytes) -> bytes:
        return self._coder.compress(data) + self._coder.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._coder.flush()


_CODERS: dict[bytes, type[_Coder]] = {b"zstd": _Zstd, b"br": _Brotli, b"gzip": _Gzip}


class StreamCoder:
    """Compresses a stream so that each piece can be read when it arrives. Without a coding it hands pieces through."""

    def __init__(self, coding: bytes | None) -> None:
        self._coder: _Coder | None = None if coding is None else _CODERS[coding]()

    async def piece(self, data: bytes) -> bytes:
        """What to send for one piece."""
        if self._coder is None or not data:
            return data
        if len(data) < _IN_A_THREAD_FROM_BYTES:
            return self._coder.piece(data)
        return await asyncio.to_thread(self._coder.piece, data)

    def end(self) -> bytes:
        """What to send after the last piece."""
        return b"" if self._coder is None else self._coder.end()
