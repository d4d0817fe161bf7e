"""Runs every test in parts, each by several processes: most tests wait for servers, and one process would idle."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A run of pytest over some folders, by so many processes, each file by one of them.

    `budget_s`: how long it should take on two cores; nothing fails beyond it.
    """

    name: str
    budget_s: int
    folders: tuple[str, ...]
    processes: int = 1

    def command(self) -> list[str]:
        """What to start."""
        shared = []
        if self.processes > 1 and _CORES > 1:
            shared = ["-n", str(self.processes), "--dist", "loadfile", "--no-loadscope-reorder"]
        return [sys.executable, "-m", "pytest", "--durations=5", "--color=no", *shared, *self.folders]


_CORES = os.cpu_count() or 1
_ROOT = "tests/integration/"


def _rooms(*names: str) -> tuple[str, ...]:
    return tuple(_ROOT + name for name in names)


#: What runs at the same time, and then what comes next. A browser that draws maps by software takes all the machine
#: has, and people's patience is part of what is tested: nothing runs beside it.
STEPS = (
    (
        Part(
            name="unit",
            budget_s=60,
            folders=("federation", "harvester", "catalog_api", "panofed", "bench", "tests/unit"),
            processes=2,
        ),
    ),
    (
        Part(
            name="integration",
            budget_s=300,
            # those with the longest files first
            folders=_rooms(
                "index", "cluster", "outbound", "leaving", "catalog", "harvest", "registration", "health", "tiles",
                "instances", "database",
            ),
            processes=5,
        ),
    ),
    (
        Part(name="acceptance", budget_s=360, folders=("tests/acceptance",)),
        # killed and frozen processes, lost databases, full disks, servers that lie
        Part(name="crash", budget_s=240, folders=_rooms("workers", "operations", "crash", "hostile"), processes=2),
    ),
    (Part(name="browser", budget_s=240, folders=("tests/browser",), processes=2),),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """How a part went."""

    part: Part
    code: int
    took_s: float


async def run_part(part: Part) -> Ended:
    """Run one; its lines go to our output as they come, with its name before them."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *part.command(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=1 << 24
    )
    assert process.stdout is not None
    async for line in process.stdout:
        print(f"{part.name:<11} | {line.decode(errors='replace').rstrip()}", flush=True)  # noqa: T201
    return Ended(part, await process.wait(), time.monotonic() - started)


async def run_step(parts: Sequence[Part]) -> list[Ended]:
    """Run parts at the same time, or one after the other where there is but one core."""
    if _CORES > 1:
        return list(await asyncio.gather(*map(run_part, parts)))
    return [await run_part(part) for part in parts]


async def run_all() -> int:
    """Run everything, all of it even when something fails; print how long each part took; 0 when all passed."""
    ended = [each for parts in STEPS for each in await run_step(parts)]
    for each in ended:
        word = "passed" if each.code == 0 else f"FAILED (exit code {each.code})"
        print(f"{each.part.name:<11} {word:<24} {each.took_s:5.0f} s of {each.part.budget_s} s")  # noqa: T201
    return max(each.code for each in ended)


if __name__ == "__main__":
    sys.exit(asyncio.run(run_all()))
