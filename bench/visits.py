"""Visits of a harvester that runs already: one with nothing new, one after edits; and a first crawl that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench.harvest import control, counters
from bench.meter import server_cpu_s
from bench.plan import Dataset, DatasetSpec
from bench.product import HARVEST, Product, ProductError, prepare
from bench.sizes import sizes_of
from federation.database import Role, open_pool
from federation.settings import Settings, load_settings
from harvester.visit import Harvester
from panofed.cluster import DATABASE

EDITED_SEQUENCES, EDITED_LENGTH, EDITED_ITEMS = 150, 25, 5
IDLE_PASSES = 5
EDIT_ROUNDS = 3
#: Part of the pictures read when the first crawl is killed.
KILLED_AT = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitCost:
    """One pass over all instances by a process that runs already."""

    name: str
    wall_s: float
    harvester_cpu_s: float
    postgres_cpu_s: float
    requests: int
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A first crawl that was killed and gone on with: items read before, after, and those read twice."""

    pictures: int
    read_before_kill: int
    read_after_kill: int
    read_undisturbed: int
    batch_pictures: int

    @property
    def read_again(self) -> int:
        """What the kill cost."""
        return self.read_before_kill + self.read_after_kill - self.read_undisturbed


@contextmanager
def product_settings(product: Product) -> Iterator[Settings]:
    """The settings as the product's own processes read them."""
    before = dict(os.environ)
    os.environ.update(product.environment)
    try:
        yield load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _passes(product: Product, settings: Settings, edit: Callable[[], object]) -> list[VisitCost]:
    dsn = product.cluster.dsn(DATABASE)
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        harvester = Harvester(dsn=dsn, pool=pool, settings=settings)

        async def visit(name: str) -> VisitCost:
            return await _measured(product, harvester, name)

        await visit("first of this process")
        idle = [await visit("nothing new") for _ in range(IDLE_PASSES)]
        edited = []
        for _ in range(EDIT_ROUNDS):
            await asyncio.to_thread(edit)
            edited.append(await visit(f"{EDITED_SEQUENCES} sequences edited"))
    return [_median(idle), _median(edited)]


def _median(passes: list[VisitCost]) -> VisitCost:
    return sorted(passes, key=lambda one: one.wall_s)[len(passes) // 2]


async def _measured(product: Product, harvester: Harvester, name: str) -> VisitCost:
    pid = product.cluster.status().pid
    postgres, cpu, wall = server_cpu_s(pid), time.process_time(), time.perf_counter()
    ended = await harvester.visit_all(lambda _: None)
    wall, cpu, postgres = time.perf_counter() - wall, time.process_time() - cpu, server_cpu_s(pid) - postgres
    wrong = [visit for visit in ended if visit.outcome != "done"]
    if wrong:
        raise ProductError(f"{name}: {wrong[0].instance} ended as {wrong[0].outcome}: {wrong[0].last_error}")
    return VisitCost(
        name=name,
        wall_s=wall,
        harvester_cpu_s=cpu,
        postgres_cpu_s=postgres,
        requests=sum(visit.requests for visit in ended),
        items=sum(visit.pictures_seen for visit in ended),
    )


def measure_visits(product: Product, spec: DatasetSpec) -> list[VisitCost]:
    """Harvest all local instances by the command line, then measure passes of one process."""
    prepare(product, [instance.name for instance in Dataset(spec).instances])
    wanted = f"touch?sequences={EDITED_SEQUENCES}&items={EDITED_ITEMS}&about={EDITED_LENGTH}"
    return measure_edited(product, lambda: control(product.ports[0], wanted))


def measure_edited(product: Product, edit: Callable[[], object]) -> list[VisitCost]:
    """Harvest by the command line, then measure passes of one process: nothing new, and after `edit`."""
    _run(product)
    with product_settings(product) as settings:
        return asyncio.run(_passes(product, settings, edit))


def measure_resume(product: Product, spec: DatasetSpec) -> Resumed:
    """A first crawl undisturbed, then the same from the beginning, killed in the middle and gone on with."""
    names = [instance.name for instance in Dataset(spec).instances]
    pictures = Dataset(spec).pictures
    prepare(product, names)
    undisturbed = _harvest(product)
    product.cluster.remove()
    prepare(product, names)
    before = _killed(product, int(pictures * KILLED_AT))
    after = _harvest(product)
    stored = sizes_of(product.cluster, DATABASE).pictures
    if stored != pictures:
        raise ProductError(f"{stored} pictures were stored, the instances hold {pictures}")
    return Resumed(
        pictures=pictures,
        read_before_kill=before,
        read_after_kill=after,
        read_undisturbed=undisturbed,
        batch_pictures=Settings.model_fields["batch_pictures"].default,
    )


def _harvest(product: Product) -> int:
    """Harvest to the end; returns the items read."""
    before = counters(product.ports)["items"]
    _run(product)
    return int(counters(product.ports)["items"] - before)


def _run(product: Product) -> None:
    done = subprocess.run(HARVEST, env=product.environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ProductError(f"{' '.join(HARVEST[2:])}: {done.stdout[-1_000:]}{done.stderr[-1_000:]}")


def _killed(product: Product, items: int) -> int:
    """Harvest until so many items are read, then kill -9; returns the items read."""
    before = counters(product.ports)["items"]
    program = subprocess.Popen(HARVEST, env=product.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while (read := counters(product.ports)["items"] - before) < items and program.poll() is None:
        time.sleep(0.05)
    program.send_signal(signal.SIGKILL)
    program.wait()
    return max(int(read), int(counters(product.ports)["items"] - before))


def visits_markdown(passes: list[VisitCost], instances: int) -> str:
    """A row per pass."""
    lines = [
        f"| pass over {instances} instances | seconds | CPU s: harvester | PostgreSQL | requests | items |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.name} | {one.wall_s:.2f} | {one.harvester_cpu_s:.2f} | {one.postgres_cpu_s:.2f} "
        f"| {one.requests:,} | {one.items:,} |"
        for one in passes
    ]
    return "\n".join(lines) + "\n"


def resume_markdown(resumed: Resumed) -> str:
    """A row: what the kill cost."""
    return (
        "| pictures | read before the kill | read after it | read twice | one batch |\n|---|---|---|---|---|\n"
        f"| {resumed.pictures:,} | {resumed.read_before_kill:,} | {resumed.read_after_kill:,} "
        f"| {resumed.read_again:,} | {resumed.batch_pictures:,} |\n"
    )
