"""Runs every test in parts, three at a time: most tests wait for servers, and one process would idle."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A run of pytest over some folders. `budget_s`: how long it should take on two cores; nothing fails beyond it."""

    name: str
    budget_s: int
    folders: tuple[str, ...]

    def command(self) -> list[str]:
        """What to start."""
        return [sys.executable, "-m", "pytest", "--durations=5", "--color=no", *self.folders]


_ROOT = "tests/integration/"


def _rooms(*names: str) -> tuple[str, ...]:
    return tuple(_ROOT + name for name in names)


#: What runs one after the other, beside the other lanes.
LANES = (
    (
        Part(
            name="unit",
            budget_s=60,
            folders=("federation", "harvester", "catalog_api", "panofed", "bench", "tests/unit"),
        ),
        Part(
            name="harvesting",
            budget_s=300,
            folders=_rooms("harvest", "index", "instances", "database", "workers", "leaving"),
        ),
    ),
    (Part(name="catalog", budget_s=300, folders=_rooms("catalog", "tiles")),),
    (
        Part(name="acceptance", budget_s=360, folders=("tests/acceptance",)),
        Part(
            name="operating",
            budget_s=300,
            folders=_rooms("registration", "health", "outbound", "cluster", "operations"),
        ),
        Part(name="crash", budget_s=240, folders=_rooms("crash", "hostile")),
    ),
)
#: What runs at last and alone: a browser that draws maps by software takes all the machine has, and people's patience
#: is part of what is tested.
ALONE = (Part(name="browser", budget_s=240, folders=("tests/browser",)),)


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


async def run_lane(parts: Sequence[Part]) -> list[Ended]:
    """Run parts one after the other, all of them even when one fails."""
    return [await run_part(part) for part in parts]


async def run_all() -> int:
    """Run everything, print how long each part took; 0 when all passed."""
    lanes = LANES if (os.cpu_count() or 1) > 1 else (sum(LANES, start=()),)
    ended = [each for lane in await asyncio.gather(*map(run_lane, lanes)) for each in lane] + await run_lane(ALONE)
    for each in ended:
        word = "passed" if each.code == 0 else f"FAILED (exit code {each.code})"
        print(f"{each.part.name:<11} {word:<24} {each.took_s:5.0f} s of {each.part.budget_s} s")  # noqa: T201
    return max(each.code for each in ended)


if __name__ == "__main__":
    sys.exit(asyncio.run(run_all()))
