"""A first crawl cut into ranges of ids, which several workers read at once and take over from each other.

Ids are random UUIDs, so ranges of equal width hold about equally much. Ranges belong to the instance, not to a run:
after a crash the next visit goes on with what is not done. Who reads a range has its token; a merge under an older one
is refused.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Protocol

from federation.database import Pool, explained
from federation.errors import DatabaseError, RunFenced
from federation.queries import query
from federation.settings import Settings
from harvester.client import InstanceClient
from harvester.listing import ListingPage, Window
from harvester.tasks import Instance

logger = logging.getLogger(__name__)

_LAST = (1 << 128) - 1
#: A range is renewed so many times within its lease.
_RENEWALS = 4
#: How often the leader looks whether the others are done.
_LOOK_S = 0.25


class RangeLost(RunFenced):
    """Another worker took this range over; the rest of the visit goes on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Sequences with ids after `low` up to `high`; `after` is how far it is read. `token` says whose it is."""

    low: uuid.UUID
    high: uuid.UUID
    after: uuid.UUID | None
    token: int

    def window(self) -> Window:
        """What is left to list."""
        return Window(after=str(self.after or self.low), high=str(self.high))


class Reader(Protocol):
    """What reads ranges: a visit that leads, or one that helps another."""

    instance: Instance
    run: int
    worker: str
    client: InstanceClient
    pool: Pool
    settings: Settings
    hold: Range | None
    #: called with the instance's number: other workers are welcome
    ask_help: Callable[[int], Awaitable[None]] | None

    async def take_page(self, page: ListingPage) -> object:
        """Read and merge what a page of the listing names."""

    async def forget_staged(self) -> None:
        """Drop what was read and not merged."""

    def phase(self, phase: str) -> None:
        """What is being done now, for people."""

    async def tell_run(self) -> None:
        """Bring the run's row up to date."""


def cut(after: uuid.UUID, parts: int) -> list[tuple[uuid.UUID, uuid.UUID]]:
    """The ids after this one in parts of equal width: (low, exclusive; high, inclusive), without gaps.

    >>> [(str(low)[:4], str(high)[:4]) for low, high in cut(uuid.UUID(int=0), 4)]
    [('0000', '3fff'), ('3fff', '7fff'), ('7fff', 'bfff'), ('bfff', 'ffff')]
    >>> cut(uuid.UUID(int=_LAST - 1), 16) == [(uuid.UUID(int=_LAST - 1), uuid.UUID(int=_LAST))]
    True
    """
    width = _LAST - after.int
    bounds = sorted({after.int + width * k // parts for k in range(parts + 1)})
    return [(uuid.UUID(int=low), uuid.UUID(int=high)) for low, high in pairwise(bounds)]


async def are_cut(pool: Pool, instance: int) -> bool:
    """Whether the instance's first crawl was cut into ranges already."""
    cut_, _ = await _count(pool, instance)
    return cut_ > 0


async def _count(pool: Pool, instance: int) -> tuple[int, int]:
    async with explained("reading ranges"):
        (row,) = await pool.fetch(query("count_ranges"), instance)
        return row["cut"], row["open"]


async def cut_rest(reader: Reader, page: ListingPage, clock: object) -> bool:
    """Cut what comes after the first page of a first crawl. False: it is small, or the instance has no ranges."""
    settings, size = reader.settings, len(page.entries) + len(page.unreadable)
    if settings.crawl_ranges == 1 or not reader.client.listing.by_id or size < settings.page_sequences:
        return False
    try:
        bounds = cut(uuid.UUID(page.last_shown), settings.crawl_ranges)
    except (TypeError, ValueError):
        return False
    low, high = zip(*bounds, strict=True)
    async with explained("cutting ranges"):
        await reader.pool.execute(query("cut_ranges"), reader.instance.n, list(low), list(high), reader.run, clock)
    return True


async def lead(reader: Reader) -> None:
    """Read ranges, and wait for those that others read, until all are done."""
    while True:
        await read_ranges(reader, leads=True)
        _, still_open = await _count(reader.pool, reader.instance.n)
        if not still_open:
            return
        reader.phase("waiting for other workers")
        await asyncio.sleep(_LOOK_S)
        reader.phase("first crawl")


async def read_ranges(reader: Reader, *, leads: bool = False) -> int:
    """Read ranges that nobody reads, one after the other; returns how many were taken."""
    taken = 0
    while (part := await _take(reader)) is not None:
        if leads and reader.ask_help is not None:
            await reader.ask_help(reader.instance.n)
        taken += 1
        reader.hold = part
        try:
            await _read(reader, part)
        except* RangeLost:
            logger.warning("range taken over by another worker", extra={"instance": reader.instance.name})
            await reader.forget_staged()
        finally:
            reader.hold = None
            with suppress(DatabaseError):
                await _tell(reader, "leave_range", part)
    return taken


async def _take(reader: Reader) -> Range | None:
    lease = timedelta(seconds=reader.settings.run_lease_s)
    async with explained("taking a range"):
        row = await reader.pool.fetchrow(query("take_range"), reader.instance.n, reader.worker, lease)
    return None if row is None else Range(low=row["low"], high=row["high"], after=row["after"], token=row["token"])


async def _read(reader: Reader, part: Range) -> None:
    async with asyncio.TaskGroup() as group:
        renewing = group.create_task(_renew(reader, part))
        async for page in reader.client.changed(part.window()):
            await reader.take_page(page)
            if page.last_shown is not None:
                await _advance(reader, part, uuid.UUID(page.last_shown), done=False)
        # before: when all ranges are done the run may end, and its row take no more
        await reader.tell_run()
        await _advance(reader, part, None, done=True)
        renewing.cancel()


async def _advance(reader: Reader, part: Range, after: uuid.UUID | None, *, done: bool) -> None:
    async with explained("noting how far a range is read"):
        row = await reader.pool.fetchrow(query("advance_range"), reader.instance.n, part.low, part.token, after, done)
    if row is None:
        raise RangeLost("another worker took this range over")


async def _renew(reader: Reader, part: Range) -> None:
    """Keep the range's lease; a database that is away for a moment does not end it."""
    while True:
        await asyncio.sleep(reader.settings.run_lease_s / _RENEWALS)
        try:
            still_ours = await _tell(reader, "renew_range", part)
        except DatabaseError:
            continue
        if not still_ours:
            raise RangeLost("another worker took this range over")


async def _tell(reader: Reader, name: str, part: Range) -> bool:
    async with explained("renewing a range"):
        rows = await reader.pool.fetch(query(name), reader.instance.n, part.low, part.token)
        return bool(rows)
