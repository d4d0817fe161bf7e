"""A harvest measured end to end: the real command against the local instances, first visit, idle visit, after edits."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.meter import run_measured, server_cpu_s
from bench.plan import Dataset, DatasetSpec
from bench.product import HARVEST, Product, ProductError, prepare, stop, wait_until_answers
from bench.sizes import Sizes, sizes_of
from panofed.cluster import DATABASE

EDITED_SEQUENCES = 150
PAGE_PICTURES = 1_000  # what the harvester asks for at once, unless told otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestPass:
    """One run of the harvest command: what the source sent it, and what the three parties spent."""

    name: str
    wall_s: float
    requests: int
    items: int
    harvester_cpu_s: float
    source_cpu_s: float
    postgres_cpu_s: float
    peak_rss_bytes: int

    @property
    def items_per_s(self) -> float:
        """Items fetched, checked, stored and committed per second of wall time, start-up included."""
        return self.items / self.wall_s


@dataclass(frozen=True, slots=True, kw_only=True)
class HarvestReport:
    """A whole measurement."""

    spec: DatasetSpec
    settings: dict[str, str]
    passes: tuple[HarvestPass, ...]
    sizes: Sizes


def control(port: int, action: str) -> Any:
    """Ask the local instance at `port` to edit itself, or for its counters."""
    url = f"http://127.0.0.1:{port}/control/{action}"
    request = urllib.request.Request(url, method="GET" if action == "stats" else "POST")
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def counters(ports: tuple[int, ...]) -> dict[str, float]:
    """Requests and items of all instances; processor seconds of the one process behind them."""
    stats = [control(port, "stats") for port in ports]
    return {
        "requests": sum(one["requests"] for one in stats),
        "items": sum(one["items"] for one in stats),
        "cpu_s": stats[0]["cpu_s"],
    }


@contextmanager
def source_running(
    spec: DatasetSpec, port: int, log: Path, *, compress: bool, more: Sequence[str] = ()
) -> Iterator[tuple[int, ...]]:
    """The local instances in a process of their own, with `more` options; gives their ports."""
    command = [sys.executable, "-m", "bench.source", "--items", str(spec.items), "--instances", str(spec.instances)]
    command += ["--seed", str(spec.seed), "--port", str(port), *(["--long-sequence"] if spec.long_sequence else [])]
    command += ["--gzip", "--warm", str(PAGE_PICTURES)] if compress else []
    command += more
    with log.open("wb") as output:
        source = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        # rendering a million items takes longer than a server may take to start
        while b"pictures" not in log.read_bytes():
            if source.poll() is not None:
                raise ProductError(f"The local instances ended: {log.read_text(errors='replace')[-2_000:]}")
            _pause(source)
        wait_until_answers(f"http://127.0.0.1:{port}/api/", source, log)
        yield tuple(port + n for n in range(spec.instances))
    finally:
        stop(source)


def _pause(program: subprocess.Popen[bytes]) -> None:
    """A fifth of a second, less if the program ends."""
    try:
        program.wait(timeout=0.2)
    except subprocess.TimeoutExpired:
        return


def harvest_once(product: Product, name: str) -> HarvestPass:
    """Run `panofed harvest --once` and measure everybody; ProductError when it fails."""
    pid = product.cluster.status().pid
    before, postgres_before = counters(product.ports), server_cpu_s(pid)
    cost = run_measured(list(HARVEST), product.environment, product.directory / f"harvest-{name}.log")
    after = counters(product.ports)
    if cost.exit_code:
        raise ProductError(f"{' '.join(HARVEST[2:])} ended with {cost.exit_code}: {cost.output[-2_000:]}")
    return HarvestPass(
        name=name,
        wall_s=cost.wall_s,
        requests=int(after["requests"] - before["requests"]),
        items=int(after["items"] - before["items"]),
        harvester_cpu_s=cost.cpu_s,
        source_cpu_s=after["cpu_s"] - before["cpu_s"],
        postgres_cpu_s=server_cpu_s(pid) - postgres_before,
        peak_rss_bytes=cost.peak_rss_bytes,
    )


def measure_harvest(product: Product, spec: DatasetSpec) -> HarvestReport:
    """First visit of an empty catalog, sizes, a visit with nothing new, a visit after 150 sequences were edited."""
    dataset = Dataset(spec)
    prepare(product, [instance.name for instance in dataset.instances])
    passes = [harvest_once(product, "first")]
    sizes = sizes_of(product.cluster, DATABASE)
    if sizes.pictures != dataset.pictures:
        raise ProductError(f"{sizes.pictures} pictures were stored, the instances hold {dataset.pictures}")
    passes.append(harvest_once(product, "idle"))
    control(product.ports[0], f"touch?sequences={EDITED_SEQUENCES}&items=5")
    passes.append(harvest_once(product, "edited"))
    # what is served side by side with a peer must be the same
    control(product.ports[0], "undo")
    harvest_once(product, "undone")
    return HarvestReport(spec=spec, settings=dict(product.settings), passes=tuple(passes), sizes=sizes)
