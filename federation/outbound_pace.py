"""How fast one instance is asked: the turnstile before every request, the wait before another try, and Retry-After."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from federation.errors import CircuitOpen
from federation.settings import Settings

# Whatever a server asks for, it is asked again the next day.
RETRY_AFTER_LAST_S = 86_400.0
# Long answers are mostly our own reading; a connection that rests longer than this is rather lost than polite.
REST_LAST_S = 30.0


class Turnstile(Protocol):
    """Lets one request after the other through to an instance: so many at a time, so far apart.

    `enter` waits for a free slot and for the turn and gives the slot's number, which goes back by `leave`.
    """

    async def enter(self) -> int:
        """Raises CircuitOpen when nobody may ask for longer than a visit waits."""
        ...

    async def leave(self, slot: int, *, elapsed_s: float, fault: bool) -> None:
        """Give the slot back after `elapsed_s`; `fault`: there was no answer (connection, TLS, DNS, time-out)."""
        ...

    async def hold(self, seconds: float) -> None:
        """The instance wants nobody to ask for `seconds`."""
        ...

    def at_most(self, requests_per_s: float) -> None:
        """Ask no faster than this from now on."""
        ...


class LocalTurnstile:
    """A turnstile for one session of one process: nothing is shared."""

    def __init__(
        self, settings: Settings, *, concurrency: int | None = None, requests_per_s: float | None = None
    ) -> None:
        """Limits that are None come from the settings; `requests_per_s` 0 means unlimited."""
        self._pacer = Pacer(settings.instance_requests_per_s if requests_per_s is None else requests_per_s)
        self._rest_share = settings.instance_rest_share
        self._wait_max_s = settings.outbound_retry_after_max_s
        self._held_until = 0.0
        self._slots: asyncio.Queue[int] = asyncio.Queue()
        for slot in range(settings.instance_concurrency if concurrency is None else concurrency):
            self._slots.put_nowait(slot)

    async def enter(self) -> int:
        """See Turnstile."""
        held_s = self._held_until - asyncio.get_running_loop().time()
        if held_s > self._wait_max_s:
            raise CircuitOpen(held_s)
        slot = await self._slots.get()
        try:
            await self._pacer.turn()
        except BaseException:
            self._slots.put_nowait(slot)
            raise
        return slot

    async def leave(self, slot: int, *, elapsed_s: float, fault: bool) -> None:
        """See Turnstile; a slot rests before the next request may have it."""
        rest_s = rest_after_s(elapsed_s, self._rest_share)
        if rest_s:
            asyncio.get_running_loop().call_later(rest_s, self._slots.put_nowait, slot)
        else:
            self._slots.put_nowait(slot)

    async def hold(self, seconds: float) -> None:
        """See Turnstile."""
        seconds = min(seconds, RETRY_AFTER_LAST_S)
        self._held_until = max(self._held_until, asyncio.get_running_loop().time() + seconds)
        if seconds <= self._wait_max_s:
            self._pacer.hold(seconds)

    def at_most(self, requests_per_s: float) -> None:
        """See Turnstile."""
        self._pacer.at_most(requests_per_s)


def rest_after_s(elapsed_s: float, share: float) -> float:
    """How long a connection rests after an answer that took `elapsed_s`: what is slow is asked less.

    >>> rest_after_s(2.0, 0.25), rest_after_s(2.0, 0.0), rest_after_s(300.0, 0.25)
    (0.5, 0.0, 30.0)
    """
    return min(elapsed_s * share, REST_LAST_S)


class Pacer:
    """Spaces the requests of one visit evenly; `hold` keeps all of them back when the instance asks for it."""

    def __init__(self, requests_per_s: float) -> None:
        """`requests_per_s` 0 means unlimited."""
        self._gap_s = 1 / requests_per_s if requests_per_s else 0.0
        self._free_at = 0.0

    async def turn(self) -> None:
        """Wait until the next request may be sent."""
        clock = asyncio.get_running_loop().time
        # A loop, not one sleep: while this one slept another may have taken the turn, or `hold` moved it.
        while (wait_s := self._free_at - clock()) > 0:  # noqa: ASYNC110 (it sleeps to a known time, it does not poll)
            await asyncio.sleep(wait_s)
        self._free_at = clock() + self._gap_s

    def at_most(self, requests_per_s: float) -> None:
        """Never faster than this."""
        self._gap_s = max(self._gap_s, 1 / requests_per_s)

    def hold(self, seconds: float) -> None:
        """Send nothing for `seconds` from now."""
        self._free_at = max(self._free_at, asyncio.get_running_loop().time() + seconds)


def backoff_s(attempt: int, first_s: float, last_s: float) -> float:
    """Seconds to wait after failed attempt number `attempt` (from 1): doubling, capped, with jitter.

    The jitter (half to whole) keeps workers that failed together from coming back together.

    >>> 0.25 <= backoff_s(1, 0.5, 10.0) <= 0.5 and 5.0 <= backoff_s(40, 0.5, 10.0) <= 10.0
    True
    """
    whole_s = min(last_s, first_s * 2.0 ** min(attempt - 1, 60))
    return whole_s * random.uniform(0.5, 1.0)


def http_date(text: str | None) -> datetime | None:
    """Read an HTTP date; None when it is absent or unreadable.

    >>> http_date("Fri, 20 Nov 2026 17:38:56 GMT")
    datetime.datetime(2026, 11, 20, 17, 38, 56, tzinfo=datetime.timezone.utc)
    >>> http_date("yesterday")
    """
    if not text:
        return None
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def retry_after_s(value: str | None, server_date: str | None = None) -> float | None:
    """Seconds that a Retry-After header asks for, a day at most; None when absent or unreadable.

    A date is measured against the server's own Date header: its clock may be wrong, the difference is not.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s("-5")
    (120.0, None, None)
    >>> retry_after_s("Fri, 20 Nov 2026 17:39:56 GMT", "Fri, 20 Nov 2026 17:38:56 GMT")
    60.0
    """
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return min(float(value.strip()[:12]), RETRY_AFTER_LAST_S)
    moment = http_date(value)
    if moment is None:
        return None
    asked_s = (moment - (http_date(server_date) or datetime.now(UTC))).total_seconds()
    return min(max(0.0, asked_s), RETRY_AFTER_LAST_S)
