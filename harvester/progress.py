"""What a visit has done so far: counted as it goes, written to its run row, drawn by the command line."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from federation.database import Row
from federation.outbound_answers import Answers

#: Called with the visit's counters whenever they moved.
OnProgress = Callable[["Progress"], None]

#: Counters of a run's row, in the order of the queries `report_run` and `report_help`.
COUNTED = (
    "sequences_seen", "sequences_changed", "sequences_removed", "sequences_failed", "sequences_expected",
    "sequences_reconciled", "pictures_seen", "pictures_changed", "pictures_removed", "pictures_quarantined",
    "pictures_not_public", "pictures_expected", "pictures_skipped", "requests", "received_bytes",
    "accounts_renamed", "terms_changed",
)  # fmt: skip


@dataclass(slots=True)
class Progress:
    """Counters of one visit. `expected` is how many sequences are known to need reading."""

    instance: str
    phase: str = "starting"
    sequences_seen: int = 0
    sequences_changed: int = 0
    sequences_removed: int = 0
    sequences_failed: int = 0
    sequences_expected: int = 0
    sequences_reconciled: int = 0
    pictures_seen: int = 0
    pictures_changed: int = 0
    pictures_removed: int = 0
    pictures_quarantined: int = 0
    pictures_not_public: int = 0
    pictures_expected: int = 0
    pictures_skipped: int = 0
    requests: int = 0
    received_bytes: int = 0
    #: these move no date of a sequence: what they stand in is read again, see docs/harvesting.md
    accounts_renamed: int = 0
    terms_changed: int = 0
    last_error: str = ""
    last_error_url: str = ""
    outcome: str = "running"
    #: of this process: how fast the instance answered it
    answers: Answers = field(default_factory=Answers)
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    #: who tells the run's row holds it: what is told twice would count twice
    telling: asyncio.Lock = field(default_factory=asyncio.Lock)
    _told: tuple[int, ...] = ()

    @property
    def elapsed_s(self) -> float:
        """Since the visit began; once it has ended, what it took."""
        return (time.monotonic() if self.ended is None else self.ended) - self.started

    def end(self) -> None:
        """The visit is over."""
        self.ended = time.monotonic()

    @property
    def pictures_per_s(self) -> float:
        """Pictures read a second, over the whole visit."""
        return self.pictures_seen / max(self.elapsed_s, 0.001)

    def failed(self, error: Exception) -> None:
        """Note an error; the last one is kept with the address that gave it."""
        self.last_error = str(error)[:1000]
        self.last_error_url = str(getattr(error, "url", ""))[:1000]

    def counts(self) -> tuple[int, ...]:
        """All counters, in the order of `COUNTED`."""
        return tuple(getattr(self, name) for name in COUNTED)

    def untold(self, counts: tuple[int, ...]) -> tuple[int, ...]:
        """What the run's row does not know yet of these counts: several processes add to one row."""
        return tuple(now - told for now, told in zip(counts, self._told or (0,) * len(counts), strict=True))

    def told(self, counts: tuple[int, ...]) -> None:
        """The run's row has these counts now."""
        self._told = counts

    def take_totals(self, row: Row) -> None:
        """The counters of the whole visit, those of its helpers included, as its row has them."""
        for name in COUNTED:
            setattr(self, name, row[name])
        self._told = self.counts()
