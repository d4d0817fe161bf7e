"""How much memory a worker of the catalog needs: fresh, during its largest answers, after a long time of load."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from bench.load import ask, measure
from bench.meter import MemorySampler
from bench.plan import Dataset
from bench.product import Product, served
from bench.requests import CLASSES, requests_of, samples_of

#: Answers of the greatest size, all over a country that has many more pictures.
LARGE_PATH = "/search?bbox=-5,42,8,51&limit=10000"
LARGE_CLIENTS = 8
LARGE_S = 60.0
CLIENTS = 8
#: How long one class of requests is asked before the next.
_TURN_S = 10.0
_SAMPLES = 300
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """What a worker was asked, and its resident memory in bytes at the end and at most."""

    name: str
    seconds: float
    requests: int
    refused: int
    end_bytes: int
    peak_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """From its start to its first answer, and the phases in order."""

    start_s: float
    phases: tuple[Phase, ...]


def measure_endurance(product: Product, dataset: Dataset, seconds: float) -> Endurance:
    """Start a catalog with one worker, ask for large answers, then for everything in turns for so many seconds."""
    begin = time.monotonic()
    with served(product) as (root, program):
        start_s = time.monotonic() - begin
        worker = _worker_of(program.pid)
        fresh = Phase(
            name="fresh", seconds=0, requests=1, refused=0, end_bytes=_memory(worker), peak_bytes=_memory(worker)
        )
        return Endurance(start_s=start_s, phases=(fresh, _large(root, worker), _load(root, worker, dataset, seconds)))


def _worker_of(supervisor: int) -> psutil.Process:
    """The process that answers: the largest of those below the one we started."""
    processes = [psutil.Process(supervisor), *psutil.Process(supervisor).children(recursive=True)]
    return max(processes, key=_memory)


def _memory(process: psutil.Process) -> int:
    return int(process.memory_info().rss)


@contextmanager
def _sampled(worker: psutil.Process) -> Iterator[MemorySampler]:
    sampler = MemorySampler(worker.pid)
    sampler.start()
    try:
        yield sampler
    finally:
        sampler.stop()


def _large(root: str, worker: psutil.Process) -> Phase:
    """The largest answers, for as many clients at once as would like one; who is refused comes again."""
    with _sampled(worker) as sampler:
        counts = asyncio.run(_ask_large(root))
    return Phase(
        name=f"{LARGE_CLIENTS} clients with limit=10000",
        seconds=LARGE_S,
        requests=counts.count(200),
        refused=counts.count(503),
        end_bytes=_memory(worker),
        peak_bytes=sampler.peak_single,
    )


async def _ask_large(root: str) -> list[int]:
    deadline = time.monotonic() + LARGE_S
    base = urlsplit(root)
    statuses: list[int] = []

    async def client() -> None:
        while time.monotonic() < deadline:
            status, _ = await ask(base, base.path + LARGE_PATH)
            statuses.append(status)
            if status == 503:
                await asyncio.sleep(0.2)

    await asyncio.gather(*(client() for _ in range(LARGE_CLIENTS)))
    return statuses


def _load(root: str, worker: psutil.Process, dataset: Dataset, seconds: float) -> Phase:
    samples = samples_of(dataset, _SAMPLES)
    paths = {name: [request.path for request in requests_of(name, samples, "sequence")] for name in CLASSES}
    deadline, requests, failed = time.monotonic() + seconds, 0, 0
    with _sampled(worker) as sampler:
        while time.monotonic() < deadline:
            for some in paths.values():
                turn_s = min(_TURN_S, max(1.0, deadline - time.monotonic()))
                measured = measure(root, some, concurrency=CLIENTS, seconds=turn_s)
                requests, failed = requests + measured.requests, failed + measured.failed
    return Phase(
        name=f"{CLIENTS} clients, every class in turns",
        seconds=seconds,
        requests=requests,
        refused=failed,
        end_bytes=_memory(worker),
        peak_bytes=sampler.peak_single,
    )


def endurance_markdown(report: Endurance) -> str:
    """As a table."""
    lines = [
        f"From the start of the program to its first answer: {report.start_s:.2f} s.",
        "",
        "| worker | seconds | answers | refused | memory MiB at the end | at most |",
        "|---|---|---|---|---|---|",
        *map(_line, report.phases),
    ]
    return "\n".join(lines) + "\n"


def _line(phase: Phase) -> str:
    sizes: Sequence[float] = (phase.end_bytes / _MIB, phase.peak_bytes / _MIB)
    return (
        f"| {phase.name} | {phase.seconds:.0f} | {phase.requests:,} | {phase.refused:,} | {sizes[0]:.0f} |"
        f" {sizes[1]:.0f} |"
    )
