"""What a measured program costs: its memory while it runs, its processor time, and that of the servers beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLE_INTERVAL_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCost:
    """A finished program: wall and processor seconds of it and its children, its largest memory in bytes."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_process_rss_bytes: int
    output: str


class MemorySampler(threading.Thread):
    """Adds up the resident memory of a process and its descendants ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._process = psutil.Process(pid)
        self._stopped = threading.Event()
        self.peak_tree = self.peak_single = 0

    def run(self) -> None:
        while not self._stopped.wait(SAMPLE_INTERVAL_S):
            sizes = []
            with contextlib.suppress(psutil.Error):
                for process in (self._process, *self._process.children(recursive=True)):
                    with contextlib.suppress(psutil.Error):
                        sizes.append(process.memory_info().rss)
            self.peak_tree = max(self.peak_tree, sum(sizes))
            self.peak_single = max(self.peak_single, *sizes, 0)

    def stop(self) -> None:
        """End it, and wait until it has."""
        self._stopped.set()
        self.join()


def run_measured(command: list[str], env: Mapping[str, str], log: Path) -> ProgramCost:
    """Run a program to its end, its output to a file; children it waited for are counted."""
    begin = time.perf_counter()
    with log.open("wb") as output:
        program = subprocess.Popen(command, env=dict(env), stdout=output, stderr=subprocess.STDOUT)
    sampler = MemorySampler(program.pid)
    sampler.start()
    _, status, usage = os.wait4(program.pid, 0)
    wall = time.perf_counter() - begin
    sampler.stop()
    program.returncode = os.waitstatus_to_exitcode(status)
    return ProgramCost(
        exit_code=program.returncode,
        wall_s=wall,
        cpu_s=usage.ru_utime + usage.ru_stime,
        # the kernel's own record catches a peak between two samples; it is in KiB
        peak_rss_bytes=max(sampler.peak_tree, usage.ru_maxrss * 1024),
        peak_process_rss_bytes=max(sampler.peak_single, usage.ru_maxrss * 1024),
        output=log.read_text(errors="replace"),
    )


def server_cpu_s(pid: int) -> float:
    """Processor seconds of a server with all its children, the finished ones included (PostgreSQL: the postmaster)."""
    postmaster = psutil.Process(pid)
    total = float(sum(postmaster.cpu_times()[:4]))
    for child in postmaster.children():
        with contextlib.suppress(psutil.Error):
            total += float(sum(child.cpu_times()[:2]))
    return total
