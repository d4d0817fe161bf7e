"""How fast one instance is asked: the gap between requests, the wait before another try, and Retry-After."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


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
    """Seconds that a Retry-After header asks for; None when absent or unreadable.

    A date is measured against the server's own Date header: its clock may be wrong, the difference is not.

    >>> retry_after_s("120"), retry_after_s("soon"), retry_after_s("-5")
    (120.0, None, None)
    >>> retry_after_s("Fri, 20 Nov 2026 17:39:56 GMT", "Fri, 20 Nov 2026 17:38:56 GMT")
    60.0
    """
    if value is None:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:12])
    moment = http_date(value)
    if moment is None:
        return None
    return max(0.0, (moment - (http_date(server_date) or datetime.now(UTC))).total_seconds())
