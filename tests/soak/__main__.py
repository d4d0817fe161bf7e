"""`python -m tests.soak --seconds 600`: walks on two real instances and harvests that are killed, seed after seed."""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from federation.database import migrate
from panofed.cluster import Cluster, ClusterConfig
from panofed.demo.origins import DEMO_PLANS, OriginPlaces, Origins, default_environment
from tests.integration.crash.story import Story
from tests.integration.crash.trial import Trial, databases, victim
from tests.origin import Origin
from tests.soak.command import DAMAGE
from tests.soak.walk import Plan, prepared

KILLS_A_CHAPTER = 12
CACHE = Path.home() / ".cache/panofed-tests"


def main() -> int:
    """Walk until the time is over; the exit code is the number of seeds that failed."""
    options = _options()
    began, seed, failed = time.monotonic(), options.seed, []
    while True:
        plan = Plan(seed=seed, steps=options.steps, damage=options.damage)
        print(f"seed {seed}: {plan.command}", flush=True)  # noqa: T201
        good = _walked(plan, verbose=options.verbose)
        if not options.damage:
            good = _killed(plan) and good
        if not good:
            failed.append(seed)
        seed += 1
        if time.monotonic() - began >= options.seconds:
            break
    said = f"failed: {', '.join(map(str, failed))}" if failed else "all went well"
    print(f"{seed - options.seed} seeds in {time.monotonic() - began:.0f} s; {said}", flush=True)  # noqa: T201
    return min(len(failed), 100)


def _walked(plan: Plan, *, verbose: bool) -> bool:
    """Whether one walk went well, on instances made for it."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    folder.chmod(0o755)
    began = time.monotonic()

    def report(text: str) -> None:
        if verbose or not text[:4].strip().isdigit():
            print(f"  {time.monotonic() - began:5.0f} s  {text}", flush=True)  # noqa: T201

    places = OriginPlaces(directory=folder / "origins", environment=default_environment(CACHE))
    origins = Origins([replace(each, sequences=()) for each in DEMO_PLANS], places)
    good = False
    try:
        origins.start()
        with prepared(plan, origins, folder / "catalog", report) as walk:
            asyncio.run(walk.go())
        good = True
    except AssertionError as error:
        report(f"RED  {error}")
    finally:
        origins.remove()
        if good:
            shutil.rmtree(folder, ignore_errors=True)
    return good


def _killed(plan: Plan) -> bool:
    """Whether a story harvested by those who are killed ended as one harvested in peace."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir="/tmp"))
    folder.chmod(0o755)
    cluster = Cluster(ClusterConfig(directory=folder / "pg", durable=False, shared_buffers="32MB"))
    began = time.monotonic()
    try:
        cluster.ensure_running()
        cluster.ensure_database("template")
        kills = asyncio.run(_story(plan.seed, cluster))
    except AssertionError as error:
        print(f"  RED  kills: {error}\nto repeat it: {plan.command}", flush=True)  # noqa: T201
        return False
    else:
        print(f"  {time.monotonic() - began:5.0f} s  {kills} kills", flush=True)  # noqa: T201
        return True
    finally:
        cluster.remove()
        shutil.rmtree(folder, ignore_errors=True)


async def _story(seed: int, cluster: Cluster) -> int:
    await migrate(cluster.dsn("template"))
    async with (
        victim() as forks,
        databases(cluster, "template") as copy,
        Origin(seed=seed) as north,
        Origin(seed=seed + 1_000_000) as south,
    ):
        trial = Trial(victim=forks, copy=copy, origins={"north": north, "south": south}, dice=random.Random(seed))
        await trial.tell(Story(north=north, south=south, dice=random.Random(seed)), KILLS_A_CHAPTER)
        return trial.kills


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=0, help="begin no further walk after so long")
    parser.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000, help="of the first walk")
    parser.add_argument("--steps", type=int, default=150, help="of each walk")
    parser.add_argument("--damage", choices=sorted(DAMAGE), default="", help="break the harvester, to see it noticed")
    parser.add_argument("--verbose", action="store_true", help="print every step")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
