"""Finished tiles on disk: one SQLite file for all workers of a machine, bounded, which outlives them."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from federation.queries import query

logger = logging.getLogger(__name__)

#: Reading a tile notes the time, but not more often: a note is a write.
_NOTED_EVERY_S = 600
#: How long one worker waits for another's write.
_BUSY_S = 2.0


@dataclass(slots=True)
class ShelfFile:
    """Bodies by name, each with the version it shows. Nothing here raises: without the file there is no cache.

    Its methods block for a fraction of a millisecond up to `_BUSY_S`, and may be called from several threads.
    """

    path: Path
    bytes_max: int
    _connection: sqlite3.Connection | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, name: str, version: str) -> bytes | None:
        """What was kept under this name, if it is of this version."""
        found: bytes | None = None
        with self._lock, self._faults():
            row = self._open().execute(query("tile_cache_get"), (name,)).fetchone()
            if row is not None and row[0] == version:
                found = row[2]
                if time.time() - row[1] > _NOTED_EVERY_S:
                    self._open().execute(query("tile_cache_touch"), (int(time.time()), name))
        return found

    def put(self, name: str, version: str, body: bytes) -> None:
        """Keep a body instead of what was there; the oldest go when there is too much."""
        with self._lock, self._faults():
            connection = self._open()
            connection.execute(query("tile_cache_put"), (name, version, int(time.time()), body))
            while self._size(connection) > self.bytes_max:
                if connection.execute(query("tile_cache_drop_oldest")).rowcount == 0:
                    break

    def size_bytes(self) -> int:
        """What is in use of the file."""
        size = 0
        with self._lock, self._faults():
            size = self._size(self._open())
        return size

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(
                self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
            )
            # what a crash takes with it is made again
            for pragma in ("journal_mode = wal", "synchronous = off"):
                self._connection.execute(f"PRAGMA {pragma}")
            for name in ("tile_cache_create", "tile_cache_index"):
                self._connection.execute(query(name))
        return self._connection

    @staticmethod
    def _size(connection: sqlite3.Connection) -> int:
        pages, page_bytes = connection.execute(query("tile_cache_pages")).fetchone()
        return int(pages) * int(page_bytes)

    def _faults(self) -> _Faults:
        return _Faults(self)

    def drop(self) -> None:
        """The file is not what it should be: a new one is begun at the next use."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        for suffix in ("", "-wal", "-shm"):
            with suppress(OSError):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)


@dataclass(slots=True)
class _Faults:
    """Swallows faults of the file, with a word to the log; a broken file goes."""

    shelf: ShelfFile

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> bool:
        if not isinstance(error, sqlite3.Error | OSError):
            return False
        logger.warning("the file of tiles cannot be used: %s", error, extra={"action": "tile cache"})
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
            self.shelf.drop()
        return True
