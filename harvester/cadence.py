"""When an instance is visited next: often while it changes, seldom while it sleeps or fails, never in quiet hours."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from federation.quiet_hours import QuietHours
from federation.settings import Settings

#: Who changed within a day is active: street pictures come in bursts of an afternoon.
_ACTIVE = timedelta(days=1)
#: Doubling ends here by itself: 2 ** 40 times any cadence is more than every limit.
_DOUBLINGS_MAX = 40


def pause_s(settings: Settings, cadence_s: float | None, unchanged: timedelta) -> float:
    """Seconds until the next visit of an instance that answered and last changed `unchanged` ago.

    `cadence_s` is its own, None where the setting holds. An active one is visited at that distance; then the distance
    grows with the time since its last change, up to `cadence_sleeping_s`.

    >>> settings = Settings(cadence_s=45, cadence_sleeping_s=900)
    >>> [pause_s(settings, None, timedelta(days=days)) for days in (0, 1, 2, 10, 1000)]
    [45.0, 45.0, 90.0, 450.0, 900.0]
    >>> pause_s(settings, 3600, timedelta(days=9))
    3600.0
    """
    base_s = settings.cadence_s if cadence_s is None else cadence_s
    grown_s = base_s * max(1.0, unchanged / _ACTIVE)
    return float(min(grown_s, max(settings.cadence_sleeping_s, base_s)))


def backoff_s(settings: Settings, cadence_s: float | None, failures: int, jitter: float | None = None) -> float:
    """Seconds until the next visit of an instance that failed, `failures` times before this one.

    Doubling up to `cadence_failing_s`, with jitter: instances that failed together (our own network was away) do not
    come back together. `jitter` is a share of 1, drawn when it is None.

    >>> settings = Settings(cadence_s=45, cadence_failing_s=3600)
    >>> [backoff_s(settings, None, failures, jitter=0.5) for failures in (0, 1, 2, 99)]
    [45.0, 90.0, 180.0, 3600.0]
    >>> 0.8 * 45 <= backoff_s(settings, None, 0) <= 1.2 * 45
    True
    """
    base_s = settings.cadence_s if cadence_s is None else cadence_s
    whole_s = min(base_s * 2.0 ** min(failures, _DOUBLINGS_MAX), max(settings.cadence_failing_s, base_s))
    return whole_s * (0.8 + 0.4 * (random.random() if jitter is None else jitter))


def is_due(quiet_hours: str, now: datetime, *, pinged: bool) -> bool:
    """Whether a visit whose time has come may start: not in quiet hours, unless the instance was pinged.

    >>> at = datetime.fromisoformat("2026-03-01T23:00:00+00:00")
    >>> is_due("22:00-06:00", at, pinged=False), is_due("22:00-06:00", at, pinged=True), is_due("", at, pinged=False)
    (False, True, True)
    """
    return pinged or not quiet_hours or QuietHours.parse(quiet_hours).until(now) is None
