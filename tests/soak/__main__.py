"""`python -m tests.soak --seconds 600`: walks on two real instances and harvests that are killed, seed after seed."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from federation.database import migrate
from panofed.cluster import Cluster, ClusterConfig
from panofed.demo.origins import DEMO_PLANS, OriginPlaces, Origins, default_environment
from tests.integration.crash.story import Story
from tests.integration.crash.trial import Trial, databases, victim
from tests.origin import Origin
from tests.soak.command import DAMAGE
from tests.soak.walk import Plan, prepared

#: With 200 steps. What each found has a test of its own, too; short ones are in tests/acceptance/test_differential.py.
FAILED_SEEDS = (301,)
CACHE = Path.home() / ".cache/panofed-tests"


def main() -> int:
    """Walk until the time is over; the exit code is the number of seeds that failed."""
    options = _options()
    began = time.monotonic()
    walked = 0
    failed: list[int] = []
    done: Counter[str] = Counter()
    for seed in _seeds(options.seed):
        plan = Plan(seed=seed, steps=options.steps, damage=options.damage)
        print(f"seed {seed}: {plan.command}", flush=True)  # noqa: T201
        good = _walked(plan, done, verbose=options.verbose)
        if not options.damage:
            good = _killed(plan, options.kills, done) and good
        if not good:
            failed.append(seed)
        walked += 1
        if time.monotonic() - began >= options.seconds:
            break
    said = f"failed: {', '.join(map(str, failed))}" if failed else "all went well"
    print(f"{walked} seeds in {time.monotonic() - began:.0f} s; {said}; {_sum(done)}", flush=True)  # noqa: T201
    return min(len(failed), 100)


def _seeds(first: int | None) -> Iterator[int]:
    """From this one on; without one, those that ever failed and then others."""
    if first is not None:
        return itertools.count(first)
    return itertools.chain(FAILED_SEEDS, itertools.count(int(time.time()) % 1_000_000))


def _sum(done: Counter[str]) -> str:
    """How much was done, in a line."""
    blows = {name.removeprefix("blow "): n for name, n in sorted(done.items()) if name.startswith("blow ")}
    idle = done["refused"] + done["nothing there"]
    steps = sum(n for name, n in done.items() if name != "crash kills") - sum(blows.values()) - idle
    return f"{steps} steps ({idle} refused or idle), {blows}, {done['crash kills']} kills of the crash test"


def _walked(plan: Plan, done: Counter[str], *, verbose: bool) -> bool:
    """Whether one walk went well, on instances made for it; what it did is added to `done`."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    folder.chmod(0o755)
    began = time.monotonic()

    def report(text: str) -> None:
        with (folder / "steps.log").open("a") as log:
            log.write(f"{datetime.now(UTC).isoformat()} {text}\n")
        if verbose or not text[:4].strip().isdigit():
            print(f"  {time.monotonic() - began:5.0f} s  {text}", flush=True)  # noqa: T201

    places = OriginPlaces(directory=folder / "origins", environment=default_environment(CACHE))
    origins = Origins([replace(each, sequences=()) for each in DEMO_PLANS], places)
    good = False
    try:
        origins.start()
        with prepared(plan, origins, folder / "catalog", report) as walk:
            try:
                asyncio.run(walk.go())
            finally:
                done.update(walk.done)
        good = True
    except AssertionError as error:
        report(f"RED  {error}")
    finally:
        origins.remove()
        if good:
            shutil.rmtree(folder, ignore_errors=True)
    return good


def _killed(plan: Plan, kills_a_chapter: int, done: Counter[str]) -> bool:
    """Whether a story harvested by those who are killed ended as one harvested in peace."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    folder.chmod(0o755)
    cluster = Cluster(ClusterConfig(directory=folder / "pg", durable=False, shared_buffers="32MB"))
    began = time.monotonic()
    try:
        cluster.ensure_running()
        cluster.ensure_database("template")
        kills = asyncio.run(_story(plan.seed, cluster, kills_a_chapter))
    except AssertionError as error:
        print(f"  RED  kills: {error}\nto repeat it: {plan.command}", flush=True)  # noqa: T201
        return False
    else:
        done["crash kills"] += kills
        print(f"  {time.monotonic() - began:5.0f} s  {kills} kills", flush=True)  # noqa: T201
        return True
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


async def _story(seed: int, cluster: Cluster, kills_a_chapter: int) -> int:
    await migrate(cluster.dsn("template"))
    async with (
        victim() as forks,
        databases(cluster, "template") as copy,
        Origin(seed=seed) as north,
        Origin(seed=seed + 1_000_000) as south,
    ):
        trial = Trial(victim=forks, copy=copy, origins={"north": north, "south": south}, dice=random.Random(seed))
        await trial.tell(Story(north=north, south=south, dice=random.Random(seed)), kills_a_chapter)
        return trial.kills


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="begin no further walk after so long")
    parser.add_argument("--seed", type=int, help="of the first walk; without, those that ever failed come first")
    parser.add_argument("--steps", type=int, default=200, help="of each walk")
    parser.add_argument("--kills", type=int, default=12, help="in each of the crash test's five chapters")
    parser.add_argument("--damage", choices=sorted(DAMAGE), default="", help="break the harvester, to see it noticed")
    parser.add_argument("--verbose", action="store_true", help="print every step")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
