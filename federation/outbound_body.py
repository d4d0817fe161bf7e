"""The body of one answer: decompressed as it arrives, never past its ceiling."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import zstandard

#: what we ask for, dearest last; brotli would need one more library and saves nothing over zstd here
ACCEPT_ENCODING = "zstd, gzip"
# RFC 9659: an HTTP zstd body must decode with a window of 8 MiB; more is somebody after our memory.
ZSTD_WINDOW_MAX_BYTES = 8 * 1024 * 1024
# zstd gives 128 KiB for 4 bytes at worst and its decoder takes no output limit: 1 KiB in is at most 32 MiB out.
ZSTD_STEP_BYTES = 1_024
GZIP_STEP_BYTES = 65_536
# Members (gzip) or frames (zstd) in one body: real bodies have one; each costs a new decoder.
MEMBERS_MAX = 1_000


class BodyFault(Exception):
    """The body cannot be used; the text says why."""


class Body:
    """Collects one body. `feed` takes what came off the wire, `finish` gives the whole decompressed body."""

    def __init__(self, encoding: str, max_bytes: int) -> None:
        """`encoding` is the Content-Encoding header; one that was not asked for raises BodyFault."""
        self.wire_bytes = 0
        self._max_bytes = max_bytes
        self._size = 0
        self._parts: list[bytes] = []
        self._decode = _decoder(encoding.strip().lower(), self)

    def expect(self, content_length: int | None) -> None:
        """Refuse a body that announces more than the ceiling, before any of it is read."""
        if content_length is not None and content_length > self._max_bytes:
            raise BodyFault(f"more than {self._max_bytes:,} bytes: {content_length:,} are announced")

    def feed(self, wire: bytes) -> None:
        """Take the next bytes off the wire; raises BodyFault when broken or over the ceiling."""
        self.wire_bytes += len(wire)
        if self.wire_bytes > self._max_bytes:  # also ends compressed input that never yields anything
            raise BodyFault(f"more than {self._max_bytes:,} bytes")
        if self._decode is None:
            self._parts.append(wire)
        else:
            self._decode.feed(wire)

    def add(self, plain: bytes) -> None:
        """Take decompressed bytes from the decoder; raises BodyFault over the ceiling."""
        self._size += len(plain)
        if self._size > self._max_bytes:
            raise BodyFault(f"more than {self._max_bytes:,} bytes after decompression")
        self._parts.append(plain)

    @property
    def room(self) -> int:
        """Decompressed bytes that still fit, and one more, so that an overflow shows."""
        return self._max_bytes - self._size + 1

    def finish(self) -> bytes:
        """The whole body; raises BodyFault when the compressed data stops in the middle."""
        if self._decode is not None and self.wire_bytes:
            self._decode.finish()
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class _Gzip:
    def __init__(self, body: Body) -> None:
        self._body, self._members = body, 1
        self._inflate = zlib.decompressobj(wbits=31)

    def feed(self, wire: bytes) -> None:
        for start in range(0, len(wire), GZIP_STEP_BYTES):
            self._step(wire[start : start + GZIP_STEP_BYTES])

    def _step(self, data: bytes) -> None:
        while data:
            if self._inflate.eof:
                self._members = _one_more(self._members)
                self._inflate = zlib.decompressobj(wbits=31)
            try:
                self._body.add(self._inflate.decompress(data, self._body.room))
            except zlib.error as error:
                raise BodyFault(f"broken gzip: {error}") from error
            data = self._inflate.unconsumed_tail or self._inflate.unused_data

    def finish(self) -> None:
        if not self._inflate.eof:
            raise BodyFault("broken gzip: it stops in the middle")


class _Zstd:
    def __init__(self, body: Body) -> None:
        self._body, self._members = body, 1
        self._context = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW_MAX_BYTES)
        self._frame = self._context.decompressobj()

    def feed(self, wire: bytes) -> None:
        for start in range(0, len(wire), ZSTD_STEP_BYTES):
            self._step(wire[start : start + ZSTD_STEP_BYTES])

    def _step(self, data: bytes) -> None:
        while data:
            if self._frame.eof:
                self._members = _one_more(self._members)
                self._frame = self._context.decompressobj()
            try:
                self._body.add(self._frame.decompress(data))
            except zstandard.ZstdError as error:
                raise BodyFault(f"broken zstd: {error}") from error
            data = self._frame.unused_data

    def finish(self) -> None:
        if not self._frame.eof:
            raise BodyFault("broken zstd: it stops in the middle")


def _one_more(members: int) -> int:
    if members >= MEMBERS_MAX:
        raise BodyFault(f"more than {MEMBERS_MAX} compressed members")
    return members + 1


_DECODERS: dict[str, Callable[[Body], _Gzip | _Zstd]] = {"gzip": _Gzip, "x-gzip": _Gzip, "zstd": _Zstd}


def _decoder(encoding: str, body: Body) -> _Gzip | _Zstd | None:
    if encoding in ("", "identity"):
        return None
    if encoding not in _DECODERS:
        raise BodyFault(f"content-encoding {encoding[:40]!r} was not asked for")
    return _DECODERS[encoding](body)
