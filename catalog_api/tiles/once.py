"""Work that several ask for at once is done once: within a worker by one task, between workers by a lock of a file."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import xxhash

T = TypeVar("T")

_LOCKS = 1 << 20
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.002, 0.02


@dataclass(slots=True)
class Flights(Generic[T]):
    """Tasks under way by name. One that is asked for by several is not stopped by one who leaves."""

    _under_way: dict[str, asyncio.Task[T]] = field(default_factory=dict)

    async def join(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        """The result of the work under this name: of that under way, or of this."""
        task = self._under_way.get(name)
        if task is None:
            task = self._under_way[name] = asyncio.ensure_future(_run(work))
            task.add_done_callback(lambda _: self._under_way.pop(name, None))
        return await asyncio.shield(task)


async def _run(work: Callable[[], Awaitable[T]]) -> T:
    return await work()


@dataclass(slots=True)
class Locks:
    """Locks of names between processes: bytes of a file. A process that dies lets go of them."""

    path: Path
    patience_s: float
    _file: int | None = None

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[None]:
        """Alone with this name on this machine, or after `patience_s` no longer alone."""
        place = xxhash.xxh3_64_intdigest(name.encode()) % _LOCKS
        held = await self._take(place)
        try:
            yield
        finally:
            if held and self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, place)

    async def _take(self, place: int) -> bool:
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            return False
        waited_s, pause_s = 0.0, _FIRST_PAUSE_S
        while waited_s < self.patience_s:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                await asyncio.sleep(pause_s)
                waited_s, pause_s = waited_s + pause_s, min(pause_s * 2, _LAST_PAUSE_S)
            else:
                return True
        return False

    def close(self) -> None:
        """Let go of the file and all locks."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
