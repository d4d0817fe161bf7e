"""What a visit works with: the instance as it was, a sequence to read, what a lane has staged."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from federation.database import Row
from federation.record import Sequence
from harvester.client import Listed
from harvester.lane import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """What the index knows of an instance when its visit begins."""

    n: int
    id: str
    name: str
    url: str
    cursor: datetime | None
    crawl_after: str | None
    crawl_started: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A sequence to read. `alone` is set when it made a batch fail: it is merged by itself."""

    number: int
    listed: Listed
    alone: bool = False


@dataclass(slots=True)
class LaneState:
    """What one lane has staged since its last merge."""

    lane: Lane
    merged: list[tuple[int, Sequence, int | None]] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    id_twice: bool = False

    def clear(self) -> None:
        """After a merge, or when all of it is read again."""
        self.merged.clear()
        self.tasks.clear()
        self.ids.clear()
        self.id_twice = False


def differs(row: Row, entry: Listed) -> bool:
    """Whether a listed sequence must be read; `updated` is compared with != because it can go backwards."""
    return row["state"] != "merged" or entry.updated is None or row["updated"] != entry.updated


def waits(row: Row, entry: Listed) -> bool:
    """Whether it failed as it is listed now, and its next try is still to come."""
    return bool(row["waiting"]) and row["failed_as"] == entry.updated
