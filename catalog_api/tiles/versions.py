"""The versions of tiles: how often something changed that is drawn in one. Asked for several at once."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from catalog_api.index.index import Source
from catalog_api.tiles.content import Wanted
from federation.queries import query

#: Part of every version: raised when tiles are made differently, so that those made before are not taken for current.
_MADE = 2
#: Tiles whose versions are read by one statement.
_TOGETHER_MAX = 200


@dataclass(slots=True)
class Versions:
    """Reads versions. While one statement is under way those who come wait, and are asked for together by the next.

    So a busy worker pays a fraction of a trip for each request, and every version is read after it was asked for.
    """

    source: Source
    #: instances that were leaving when versions were read last
    hidden: tuple[int, ...] = ()
    _waiting: list[tuple[Wanted, asyncio.Future[str]]] = field(default_factory=list)
    _asking: asyncio.Task[None] | None = None

    async def of(self, wanted: Wanted) -> str:
        """The version now: what was made when it was the same shows everything committed since."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, future))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        return await future

    async def _ask(self) -> None:
        try:
            while self._waiting:
                together, self._waiting = self._waiting[:_TOGETHER_MAX], self._waiting[_TOGETHER_MAX:]
                await self._answer(together)
        finally:
            self._asking = None

    async def _answer(self, together: list[tuple[Wanted, asyncio.Future[str]]]) -> None:
        try:
            found = await self._read([wanted for wanted, _ in together])
        except Exception as error:
            for _, future in together:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), version in zip(together, found, strict=True):
            # one whose client went away is done
            if not future.done():
                future.set_result(version)

    async def _read(self, tiles: list[Wanted]) -> list[str]:
        which, keys = [], []
        for number, wanted in enumerate(tiles):
            own = wanted.tile.keys()
            which += [number] * len(own)
            keys += own
        rows = await self.source.fetch(query("tile_states"), which, keys, len(tiles))
        self.hidden = tuple(rows[0]["hidden"])
        return [
            # the epoch: after a restore, the same count stands for other changes
            f"{_MADE}.{row['epoch'].hex[:12]}.{row['touches']}" + (f".{row['scale']}" if each.is_scaled else "")
            for each, row in zip(tiles, rows, strict=True)
        ]
