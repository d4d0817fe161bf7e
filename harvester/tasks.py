"""What a visit works with: the instance as it was, a sequence to read, what a lane has staged."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from federation.database import Row
from federation.record import Sequence
from harvester.accept import Aside
from harvester.lane import Lane
from harvester.listing import Listed


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
    #: its last complete listing
    listed_at: datetime | None = None


class Why(StrEnum):
    """What made us read a sequence."""

    #: the instance said that it changed
    SIGNALLED = "signalled"
    #: it was listed, in a first crawl or a complete listing
    LISTED = "listed"
    #: reading it had failed, or some of its pictures were still being prepared
    AGAIN = "again"
    #: its turn had come, though nothing announced a change
    RECONCILED = "reconciled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A sequence to read. `alone` is set when it made a batch fail: it is merged by itself.

    `settled`: the instance had said before this reading that none of its pictures is on its way.
    """

    number: int
    listed: Listed
    why: Why
    alone: bool = False
    settled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A sequence that is read wholly; `late`: some of its pictures are still being prepared at the instance."""

    task: Task
    record: Sequence
    account: int | None
    aside: Aside
    late: bool

    @property
    def row(self) -> tuple[int, Sequence, int | None]:
        """What a merge needs of it."""
        return self.task.number, self.record, self.account


@dataclass(slots=True)
class LaneState:
    """What one lane has staged since its last merge; `later`: what it keeps until others are merged."""

    lane: Lane
    staged: list[Staged] = field(default_factory=list)
    later: list[Staged] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    id_twice: bool = False

    def clear(self) -> None:
        """After a merge, or when all of it is read again."""
        self.staged.clear()
        self.ids.clear()
        self.id_twice = False


def differs(row: Row, entry: Listed, described: int | None) -> bool:
    """Whether a listed sequence must be read; `updated` is compared with != because it can go backwards.

    One without `updated` is read when its description is another (`described`: the hash of what is listed); changes of
    its pictures alone are found by reconciliation. One that is taken down is not read at all.
    """
    if row["state"] == "withheld":
        return False
    if row["state"] != "merged" or row["updated"] != entry.updated:
        return True
    return entry.updated is None and row["hash"] != described


def waits(row: Row, entry: Listed) -> bool:
    """Whether it failed as it is listed now, and its next try is still to come."""
    return bool(row["waiting"]) and row["failed_as"] == entry.updated
