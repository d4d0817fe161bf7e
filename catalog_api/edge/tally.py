"""What one worker counts while it answers, and the sums over all workers, dead ones included, through small files."""

from __future__ import annotations

import os
from bisect import bisect_left
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil

#: Upper bounds of the latencies, in seconds: hot paths are below a millisecond, the statement limit is 10 s.
BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OTHER = "other"


class Latencies(msgspec.Struct):
    """Answers of one route, method and class of status: how many up to each bound, beyond the last, and their sum."""

    counts: list[int]
    sum_s: float = 0.0


class Counted(msgspec.Struct):
    """What a worker tells. The first three only grow and outlive it; the others are of this moment.

    `latencies` are by "route method class", `statuses` by their number, `refused` by the reason.
    """

    latencies: dict[str, Latencies] = {}
    statuses: dict[str, int] = {}
    refused: dict[str, int] = {}
    gauges: dict[str, float] = {}


@dataclass(slots=True, kw_only=True)
class Tally:
    """Counts of this worker. `slot` is its number among the workers; its successor in the slot goes on counting.

    Not prometheus-client's own counters: shared by several processes they cost 25 times as much, see decision 0022.
    """

    slot: int = 0
    folder: Path | None = None
    in_flight: int = 0
    loop_lag_s: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    _latencies: dict[tuple[str, str, int], Latencies] = field(default_factory=dict)
    _process: psutil.Process = field(default_factory=psutil.Process)

    def __post_init__(self) -> None:
        """Take over what the slot's last worker counted."""
        before = _read(self._path) if self._path else None
        if before is None:
            return
        self.refused = dict(before.refused)
        self.statuses = {int(status): count for status, count in before.statuses.items()}
        for name, latencies in before.latencies.items():
            route, method, kind = name.split(" ")
            if len(latencies.counts) == len(BOUNDS_S) + 1:
                self._latencies[(route, method, int(kind))] = latencies

    @property
    def _path(self) -> Path | None:
        return None if self.folder is None else self.folder / f"{self.slot}.figures"

    def add(self, route: str, method: str, status: int, elapsed_s: float) -> None:
        """One answer. On the hot path: 0.4 microseconds."""
        key = (route, method, status // 100)
        latencies = self._latencies.get(key)
        if latencies is None:
            latencies = self._latencies[key] = Latencies([0] * (len(BOUNDS_S) + 1))
        latencies.counts[bisect_left(BOUNDS_S, elapsed_s)] += 1
        latencies.sum_s += elapsed_s
        self.statuses[status] = self.statuses.get(status, 0) + 1

    def refuse(self, reason: str) -> None:
        """One request that was turned away before its route was looked for."""
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def figures(self, gauges: dict[str, float]) -> Counted:
        """All of it; `gauges` are what the other parts of the worker tell."""
        memory = self._process.memory_info()
        cpu = self._process.cpu_times()
        return Counted(
            latencies={f"{route} {method} {kind}": each for (route, method, kind), each in self._latencies.items()},
            statuses={str(status): count for status, count in self.statuses.items()},
            refused=self.refused,
            gauges=gauges
            | {
                "requests_in_flight": self.in_flight,
                "worker_resident_bytes": memory.rss,
                "worker_cpu_seconds": cpu.user + cpu.system,
                "worker_start_time_seconds": self._process.create_time(),
            },
        )

    def share(self, gauges: dict[str, float]) -> dict[int, Counted]:
        """Write this worker's figures where the others find them; returns those of every slot.

        Written before the others' are read, so that no sum is ever smaller than one told before, whoever tells it.
        """
        own = self.figures(gauges)
        if self.folder is None or self._path is None:
            return {self.slot: own}
        unfinished = self._path.with_suffix(".new")
        unfinished.write_bytes(msgspec.msgpack.encode(own))
        os.replace(unfinished, self._path)
        found = {int(path.stem): _read(path) for path in self.folder.glob("*.figures")}
        return {slot: each for slot, each in found.items() if each is not None} | {self.slot: own}


def _read(path: Path) -> Counted | None:
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Counted)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def method_label(method: str) -> str:
    """A method as a label: clients make up names.

    >>> method_label("GET"), method_label("BREW")
    ('GET', 'other')
    """
    return method if method in ("GET", "HEAD", "POST", "OPTIONS") else _OTHER
