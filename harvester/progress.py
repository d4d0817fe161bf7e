"""What a visit has done so far: counted as it goes, written to its run row, drawn by the command line."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Called with the visit's counters whenever they moved.
OnProgress = Callable[["Progress"], None]


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
    pictures_seen: int = 0
    pictures_changed: int = 0
    pictures_removed: int = 0
    pictures_quarantined: int = 0
    pictures_not_public: int = 0
    requests: int = 0
    received_bytes: int = 0
    last_error: str = ""
    last_error_url: str = ""
    outcome: str = "running"
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Since the visit began."""
        return time.monotonic() - self.started

    @property
    def pictures_per_s(self) -> float:
        """Pictures read a second, over the whole visit."""
        return self.pictures_seen / max(self.elapsed_s, 0.001)

    def failed(self, error: Exception) -> None:
        """Note an error; the last one is kept with the address that gave it."""
        self.last_error = str(error)[:1000]
        self.last_error_url = str(getattr(error, "url", ""))[:1000]

    def columns(self) -> tuple[object, ...]:
        """In the order of the query `report_run`."""
        return (
            self.phase,
            self.sequences_seen,
            self.sequences_changed,
            self.sequences_removed,
            self.sequences_failed,
            self.sequences_expected,
            self.pictures_seen,
            self.pictures_changed,
            self.pictures_removed,
            self.pictures_quarantined,
            self.pictures_not_public,
            self.requests,
            self.received_bytes,
            self.last_error,
            self.last_error_url,
        )
