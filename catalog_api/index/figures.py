"""Figures that are summed over many rows: kept for a stated time, and summed by one request while the others wait."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

import orjson

from catalog_api.index.index import Index
from catalog_api.index.stats_figures import read_stats
from federation.database import Row
from federation.queries import query
from federation.settings import Settings

T = TypeVar("T")

#: Days that the summary of freshness looks back.
FRESHNESS_DAYS = 7


@dataclass(slots=True)
class Kept(Generic[T]):
    """A value that is computed again once it is older than `age_s`; meanwhile the former one is given.

    `about` tells what it is about: one of anything else is not given at all.
    """

    age_s: float
    compute: Callable[[], Awaitable[T]]
    about: Callable[[], Awaitable[object]] | None = None
    _of: object = None
    _value: T | None = None
    _at: float = -1e18
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self) -> T:
        """The value, `age_s` old at most, or a little more while it is computed."""
        of = None if self.about is None else await self.about()
        if of != self._of:
            self._value, self._of = None, of
        if self._value is not None and (self._is_fresh() or self._busy.locked()):
            return self._value
        async with self._busy:
            if self._value is not None and self._is_fresh():
                return self._value
            value = await self.compute()
            if of == self._of:
                self._value, self._at = value, time.monotonic()
            return value

    def _is_fresh(self) -> bool:
        return time.monotonic() - self._at < self.age_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is held of one instance. `licenses` are those its sequences name."""

    sequences: int = 0
    pictures: int = 0
    first: datetime | None = None
    last: datetime | None = None
    licenses: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long changes of the last days took, in seconds: bounds that half and 95 of 100 of them stayed under."""

    changes: int
    median_s: int
    p95_s: int


NOTHING = Held()


@dataclass(slots=True)
class Figures:
    """The figures one worker keeps."""

    index: Index
    settings: Settings
    held: Kept[dict[int, Held]] = field(init=False)
    freshness: Kept[dict[int, Freshness]] = field(init=False)
    configurations: Kept[list[Any]] = field(init=False)
    stats: Kept[dict[str, object]] = field(init=False)

    def __post_init__(self) -> None:
        self.held = Kept(self.settings.figures_age_s, self._read_held, self.index.hidden)
        self.freshness = Kept(self.settings.figures_age_s, self._read_freshness)
        self.configurations = Kept(self.settings.figures_age_s, self._read_configurations, self.index.hidden)
        self.stats = Kept(self.settings.stats_age_s, self._read_stats, self.index.hidden)

    async def _read_stats(self) -> dict[str, object]:
        return await read_stats(self.index)

    async def _read_held(self) -> dict[int, Held]:
        found: dict[int, list[Row]] = {}
        for row in await self.index.fetch(query("catalog_held")):
            found.setdefault(row["instance"], []).append(row)
        return {number: _held(rows) for number, rows in found.items()}

    async def _read_configurations(self) -> list[Any]:
        rows = await self.index.fetch(query("catalog_instances"), None)
        return [orjson.loads(row["configuration"]) for row in rows if row["state"] != "leaving"]

    async def _read_freshness(self) -> dict[int, Freshness]:
        buckets: dict[int, dict[int, int]] = {}
        for row in await self.index.fetch(query("catalog_freshness"), FRESHNESS_DAYS):
            buckets.setdefault(row["instance"], {})[row["le_s"]] = row["changes"]
        return {number: summary(each) for number, each in buckets.items()}


def _held(rows: list[Row]) -> Held:
    firsts = [row["datetime_min"] for row in rows if row["datetime_min"]]
    lasts = [row["datetime_max"] for row in rows if row["datetime_max"]]
    return Held(
        sequences=sum(row["sequences"] for row in rows),
        pictures=sum(row["pictures"] for row in rows),
        first=min(firsts, default=None),
        last=max(lasts, default=None),
        licenses=frozenset(row["license"] for row in rows if row["license"]),
    )


def summary(buckets: Mapping[int, int]) -> Freshness:
    """From a histogram, changes by upper bound.

    >>> summary({30: 50, 60: 45, 3600: 5})
    Freshness(changes=100, median_s=30, p95_s=60)
    """
    total = sum(buckets.values())
    return Freshness(changes=total, median_s=_below(buckets, total * 0.5), p95_s=_below(buckets, total * 0.95))


def _below(buckets: Mapping[int, int], share: float) -> int:
    passed = 0
    for bound in sorted(buckets):
        passed += buckets[bound]
        if passed >= share:
            return bound
    return max(buckets, default=0)
