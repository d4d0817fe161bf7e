"""The turnstile that all workers share: slots, pace and circuit breaker of an instance, kept in the database.

One short statement before a request and one after it, on a connection of the pool that is given back at once. A slot is
a lease that is renewed while its request lasts: that of a killed or frozen worker is free again soon.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta

from federation.database import Pool, Row, explained
from federation.errors import CircuitOpen, DatabaseError, DatabaseUnavailable, RunFenced
from federation.outbound_pace import RETRY_AFTER_LAST_S, rest_after_s
from federation.queries import query
from federation.settings import Settings

logger = logging.getLogger(__name__)

#: How long before its time a turn may be taken: what waits longer asks again, so that no slot is held for nothing.
_AHEAD_S = 1.0
#: Waiting for a slot: the first and the longest pause between two looks. A page takes 50 ms and more.
_LOOK_FIRST_S = 0.005
_LOOK_LAST_S = 0.03
#: Who gives a slot back while others wait lets them look first.
_STEP_BACK_S = 0.03
#: A database that restarts is back in seconds: requests wait for it this long.
_DATABASE_AWAY_S = 30.0
_DATABASE_AGAIN_S = (0.1, 0.3)
#: Without politeness a quick answer's slot is kept for the next request for a moment: its two statements would cost
#: as much as the request. After `_KEPT_S` others get their chance.
_QUICK_S = 0.05
_LINGER_S = 0.02
_KEPT_S = 0.25


@dataclass(slots=True, kw_only=True)
class SharedTurnstile:
    """What one session passes; see `federation.outbound_pace.Turnstile`. Made by `shared_turnstile`."""

    pool: Pool
    instance: int
    settings: Settings
    concurrency: int
    gap_s: float
    holder: uuid.UUID = field(default_factory=uuid.uuid4)
    #: slots taken, to the moment of this process's clock when their lease began
    _taken: dict[int, float] = field(default_factory=dict)
    _kept: list[int] = field(default_factory=list)
    _returned: asyncio.Event = field(default_factory=asyncio.Event)
    #: tasks of one session ask one after the other, in their order
    _door: asyncio.Lock = field(default_factory=asyncio.Lock)
    _back_until: float = 0.0
    #: a statement that takes a slot was begun and its end not seen
    _unsure: bool = False
    _freeing: set[asyncio.Task[None]] = field(default_factory=set)

    async def enter(self) -> int:
        """See Turnstile; CircuitOpen while nobody may ask, DatabaseUnavailable when the database stays away."""
        async with self._door:
            look_s = _LOOK_FIRST_S
            while True:
                if self._kept:
                    return self._kept.pop()
                self._returned.clear()
                await self._step_back()
                asked_at = time.monotonic()
                row = await self._ask()
                if row["slot"] is not None:
                    if await self._turn(row, asked_at):
                        return int(row["slot"])
                    continue
                if row["open_s"] > 0:
                    faulty = 0 < self.settings.breaker_faults <= row["faults"]
                    raise CircuitOpen(row["open_s"], faults=row["faults"] if faulty else 0)
                await self._wait(row, look_s)
                look_s = min(2 * look_s, _LOOK_LAST_S)

    async def _step_back(self) -> None:
        pause_s = self._back_until - time.monotonic()
        if pause_s > 0:
            await asyncio.sleep(pause_s)

    async def _ask(self) -> Row:
        settings, until = self.settings, time.monotonic() + _DATABASE_AWAY_S
        while True:
            try:
                async with explained("passing the turnstile"):
                    self._unsure = True
                    row = await self.pool.fetchrow(
                        query("enter_turnstile"),
                        self.instance,
                        self.concurrency,
                        self.holder,
                        timedelta(seconds=settings.instance_slot_lease_s),
                        timedelta(seconds=self.gap_s),
                        timedelta(seconds=_AHEAD_S),
                        settings.breaker_faults,
                    )
            except DatabaseUnavailable:
                if time.monotonic() > until:
                    raise
                await asyncio.sleep(random.uniform(*_DATABASE_AGAIN_S))
                continue
            self._unsure = False
            if row is None:
                raise RunFenced("the instance is not registered any more")
            return row

    async def _turn(self, row: Row, asked_at: float) -> bool:
        """Wait for the turn that was taken; False when this process slept over its lease."""
        slot = row["slot"]
        self._taken[slot] = asked_at
        try:
            if row["turn_s"] > 0:
                await asyncio.sleep(row["turn_s"])
        except BaseException:
            self._free_soon(slot)
            raise
        if time.monotonic() - asked_at > self.settings.instance_slot_lease_s - _AHEAD_S / 10:
            del self._taken[slot]
            return False
        return True

    async def _wait(self, row: Row, look_s: float) -> None:
        """Until it is worth asking again; a slot that comes back within this process ends the wait."""
        if row["turn_s"] > _AHEAD_S:
            pause_s = min(row["turn_s"] - _AHEAD_S / 2, _AHEAD_S)
        else:
            pause_s = min(max(row["slot_s"], 0.001), look_s * random.uniform(0.5, 1.0))
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._returned.wait()

    async def leave(self, slot: int, *, elapsed_s: float, fault: bool) -> None:
        """Give the slot back. When the database is away it stays taken until its lease ends."""
        rest_s = rest_after_s(elapsed_s, self.settings.instance_rest_share)
        taken_at = self._taken.get(slot, 0.0)
        if not (fault or rest_s or self.gap_s) and elapsed_s < _QUICK_S and time.monotonic() - taken_at < _KEPT_S:
            self._kept.append(slot)
            self._returned.set()
            asyncio.get_running_loop().call_later(_LINGER_S, self._free_unused, slot)
            return
        self._taken.pop(slot, None)
        if fault:
            await self._try("leave_turnstile_after_fault", slot, self.holder, *self._breaker())
        else:
            await self._free(slot, rest_s)
        self._returned.set()

    async def _free(self, slot: int, rest_s: float = 0.0) -> None:
        if await self._try("leave_turnstile", slot, self.holder, timedelta(seconds=rest_s)):
            self._back_until = time.monotonic() + _STEP_BACK_S

    def _breaker(self) -> tuple[int, timedelta, timedelta]:
        settings = self.settings
        return (
            settings.breaker_faults,
            timedelta(seconds=settings.breaker_first_s),
            timedelta(seconds=settings.breaker_last_s),
        )

    async def hold(self, seconds: float) -> None:
        """Nobody asks for `seconds`: a short pause is waited for, a long one ends visits."""
        pause = timedelta(seconds=min(seconds, RETRY_AFTER_LAST_S))
        self._free_all_kept()
        short = seconds <= self.settings.outbound_retry_after_max_s
        await self._try("hold_turnstile" if short else "close_turnstile", pause)

    def at_most(self, requests_per_s: float) -> None:
        """Ask no faster than this from now on."""
        self.gap_s = max(self.gap_s, 1 / requests_per_s)
        self._free_all_kept()

    def _free_all_kept(self) -> None:
        for slot in list(self._kept):
            self._free_unused(slot)

    def _free_unused(self, slot: int) -> None:
        if slot in self._kept:
            self._kept.remove(slot)
            self._free_soon(slot)

    def _free_soon(self, slot: int) -> None:
        self._taken.pop(slot, None)
        task = asyncio.create_task(self._free(slot))
        self._freeing.add(task)
        task.add_done_callback(self._freeing.discard)

    async def _try(self, name: str, *values: object, patient: bool = True) -> object:
        """A statement that nothing depends on for longer than a lease."""
        until = time.monotonic() + (self.settings.instance_slot_lease_s if patient else 0.0)
        while True:
            try:
                async with explained("leaving the turnstile"):
                    said: object = await self.pool.fetchval(query(name), self.instance, *values)
                    return said
            except DatabaseError as error:
                if time.monotonic() > until:
                    logger.warning("turnstile: %s", error, extra={"instance": self.instance})
                    return None
            await asyncio.sleep(random.uniform(*_DATABASE_AGAIN_S))

    async def renew(self) -> None:
        """Keep the leases of what is under way."""
        lease_s = self.settings.instance_slot_lease_s
        while True:
            await asyncio.sleep(lease_s / 3)
            if self._taken:
                await self._try(
                    "renew_slots", self.holder, timedelta(seconds=lease_s), list(self._taken), patient=False
                )

    async def close(self) -> None:
        """Give back whatever is held."""
        self._kept.clear()
        await asyncio.gather(*self._freeing)
        if self._taken or self._unsure:
            await self._try("free_slots", self.holder, patient=False)


@asynccontextmanager
async def shared_turnstile(
    pool: Pool,
    instance: int,
    settings: Settings,
    *,
    concurrency: int | None = None,
    requests_per_s: float | None = None,
) -> AsyncIterator[SharedTurnstile]:
    """The turnstile of one session; limits that are None come from the settings, `requests_per_s` 0 means unlimited."""
    per_s = settings.instance_requests_per_s if requests_per_s is None else requests_per_s
    turnstile = SharedTurnstile(
        pool=pool,
        instance=instance,
        settings=settings,
        concurrency=settings.instance_concurrency if concurrency is None else concurrency,
        gap_s=1 / per_s if per_s else 0.0,
    )
    async with explained("preparing the turnstile"):
        delay_s: float = await pool.fetchval(query("prepare_turnstile"), instance, turnstile.concurrency)
        turnstile.gap_s = max(turnstile.gap_s, delay_s)
    renewing = asyncio.create_task(turnstile.renew())
    try:
        yield turnstile
    finally:
        renewing.cancel()
        await asyncio.shield(turnstile.close())
