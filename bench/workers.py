"""A first crawl of one slow instance by 1, 2 and 4 workers: how long it takes, and what the instance's own log says.

With the default limit of two connections one worker uses all that the instance allows, and more of them change nothing;
where it allows more, they share it.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.harvest import source_running
from bench.installations import make_empty
from bench.plan import Dataset, DatasetSpec
from bench.product import PANOFED, Product, ProductError, prepare, stop
from bench.visits import product_settings
from federation.database import Role, Row, open_pool
from federation.settings import Settings
from harvester.schedule import sync_file
from panofed.cluster import DATABASE

WORKERS = (1, 2, 4)
LATENCY_MS = 200.0
#: What the instance allows, and how much of it one worker takes at most.
CONNECTIONS, LANES = (2, 8), 2
SETTINGS = {
    "visit_lanes": str(LANES),
    # small pages: a hundred sequences have ranges then, as a million have, and waiting outweighs the work
    "page_sequences": "20",
    "page_pictures": "20",
    "crawl_ranges": "8",
    # samples for a dictionary are read one by one before anybody can help
    "dictionary_items": "100",
}
_READY_S, _CRAWLED_S = 60.0, 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """One first crawl. `most_open` is the largest number of requests the instance had open at a time."""

    workers: int
    allowed: int
    seconds: float
    pictures: int
    requests: int
    most_open: int


def measure_workers(product: Product, spec: DatasetSpec, port: int) -> list[Shared]:
    """The same crawl from nothing, by each number of workers on each limit."""
    return [_measured(product, spec, port, count, allowed) for allowed in CONNECTIONS for count in WORKERS]


def _measured(product: Product, spec: DatasetSpec, port: int, count: int, allowed: int) -> Shared:
    product = replace(product, settings={**product.settings, "instance_concurrency": str(allowed)})
    make_empty(product)
    log = product.directory / f"requests-{allowed}-{count}.log"
    with ExitStack() as stack:
        stack.callback(product.cluster.stop)
        slowly = ("--latency-ms", str(LATENCY_MS), "--log", str(log))
        stack.enter_context(source_running(spec, port, product.directory / "source.log", compress=False, more=slowly))
        prepare(product, [instance.name for instance in Dataset(spec).instances])
        for number in range(count):
            stack.enter_context(_worker(product, product.directory / f"worker-{number}.log"))
        with product_settings(product) as settings:
            run = asyncio.run(_crawl(product, settings))
    seconds = (run["ended_at"] - run["started_at"]).total_seconds()
    return Shared(
        workers=count,
        allowed=allowed,
        seconds=seconds,
        pictures=run["pictures_changed"],
        requests=run["requests"],
        most_open=most_open(_ends(log), LATENCY_MS / 1000),
    )


@contextmanager
def _worker(product: Product, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        program = subprocess.Popen([*PANOFED, "worker"], env=product.environment, stdout=output, stderr=output)
    try:
        deadline = time.monotonic() + _READY_S
        while b"jobs at once" not in log.read_bytes():
            if program.poll() is not None or time.monotonic() > deadline:
                raise ProductError(f"panofed worker: {log.read_text(errors='replace')[-2_000:]}")
            time.sleep(0.05)
        yield
    finally:
        stop(program)


async def _crawl(product: Product, settings: Settings) -> Row:
    """Enable the instance and wait for the end of its first visit."""
    async with open_pool(product.cluster.dsn(DATABASE), Role.WRITER, settings, size=2) as pool:
        await sync_file(pool, settings)
        deadline = time.monotonic() + _CRAWLED_S
        while time.monotonic() < deadline:
            row = await pool.fetchrow("SELECT * FROM runs WHERE outcome <> 'running' ORDER BY n LIMIT 1")
            if row is not None:
                if row["outcome"] != "done":
                    raise ProductError(f"the crawl ended as {row['outcome']}: {row['last_error']}")
                return row
            await asyncio.sleep(0.1)
    raise ProductError(f"the crawl did not end within {_CRAWLED_S:.0f} s")


def _ends(log: Path) -> list[float]:
    return [float(line.split("\t", 1)[0]) for line in log.read_text().splitlines()]


def most_open(ends: Sequence[float], took_s: float) -> int:
    """Of requests that each took at least so long and ended at these moments: how many were open at one time.

    >>> most_open([1.0, 1.1, 1.25], 0.2)
    2
    """
    steps = sorted([(end, -1) for end in ends] + [(end - took_s, 1) for end in ends])
    most = count = 0
    for _, step in steps:
        count += step
        most = max(most, count)
    return most


def workers_markdown(measured: Sequence[Shared]) -> str:
    """A row per limit and number of workers; `times as fast` compares with the first row of the same limit."""
    first = {one.allowed: one.seconds for one in reversed(measured)}
    lines = [
        "| connections allowed | workers | seconds | times as fast | pictures/s | requests | open at once (its log) |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.allowed} | {one.workers} | {one.seconds:.1f} | {first[one.allowed] / one.seconds:.1f} "
        f"| {one.pictures / one.seconds:,.0f} | {one.requests:,} | {one.most_open} |"
        for one in measured
    ]
    return "\n".join(lines) + "\n"
