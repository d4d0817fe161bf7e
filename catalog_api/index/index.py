"""The set of leaves as this worker knows it, and reading with it: what was read with an old set is read again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import asyncpg

from catalog_api.index.hidden import leaving_out
from federation.database import Row
from federation.errors import StaleLeaves
from federation.leaves import LeafSet, load_leaves
from federation.queries import query

#: A split takes seconds; more changes than this within one request mean that something is broken.
_ATTEMPTS = 5

T = TypeVar("T")


class Source(Protocol):
    """What statements are sent to: the worker's connections, or one of them within a snapshot."""

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """The rows of one statement."""
        ...

    def use(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """One connection."""
        ...


class _Changed(Exception):
    """The set of leaves, or where a sequence lies, is not what this request started with."""


@dataclass(slots=True)
class Index:
    """Reads the index. `repeat` gives work the set of leaves, and gives it again while that was an old one."""

    source: Source
    _known: LeafSet | None = field(default=None)

    @property
    def known(self) -> LeafSet | None:
        """The set as it was read last."""
        return self._known

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """Rows of a statement that names no leaves."""
        return await self.source.fetch(statement, *arguments)

    async def hidden(self) -> tuple[int, ...]:
        """Numbers of the instances that are leaving at this moment: what was remembered of them is not shown."""
        return tuple((await self.source.fetch(query("catalog_hidden")))[0]["hidden"])

    async def repeat(self, work: Callable[[LeafSet], Awaitable[T]]) -> T:
        """The result of `work` with the current set of leaves."""
        for _ in range(_ATTEMPTS):
            leaves = self._known or await self._load()
            try:
                return await work(leaves)
            except _Changed:
                await self._load()
        raise StaleLeaves("the set of leaves keeps changing: try again in a moment")

    async def read(
        self, leaves: LeafSet, statement: str, cells: Sequence[int], *arguments: object, lies_in: Sequence[int] = ()
    ) -> list[Row]:
        """Rows of a statement whose first parameters are the cells of leaves and the version of their set.

        Every row begins with the version of the statement's own snapshot, and there is one row with only that (its last
        column is null) where nothing was found. `lies_in` is what the column `cells` must say, where there is one.
        """
        text, values = leaving_out(statement, (cells, leaves.version, *arguments), leaves.hidden)
        rows = await self.source.fetch(text, *values)
        if not rows or rows[0]["version"] != leaves.version:
            raise _Changed
        if lies_in and rows[0]["cells"] != lies_in:
            raise _Changed
        return [] if rows[0][-1] is None else rows

    async def ask(self, statement: str, *arguments: object) -> list[Row]:
        """Rows of a statement that itself fails (PF001) when the leaves it is given are not those of its snapshot."""
        try:
            return await self.source.fetch(statement, *arguments)
        except StaleLeaves as error:
            raise _Changed from error

    async def _load(self) -> LeafSet:
        async with self.source.use() as connection:
            self._known = await load_leaves(connection)
        return self._known
