"""The first requests after a start: the database's files out of the page cache, every request once; then again."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Measure, each_once
from bench.plan import Dataset
from bench.product import Product, ProductError, serving
from bench.requests import requests_of, samples_of

CLASSES = ("item_by_id", "bbox_block_l10", "bbox_block_l100")
DISTINCT = 300
MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstRequests:
    """One class: the first time, and the same requests a second time. One connection."""

    name: str
    cold: Measure
    warm: Measure


def _files(directory: Path) -> Iterator[Path]:
    return (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def drop_files(directory: Path) -> None:
    """Put the files of a stopped cluster out of the page cache, as far as the kernel follows the advice."""
    for path in _files(directory):
        file = os.open(path, os.O_RDONLY)
        try:
            os.fdatasync(file)  # pages not written yet are kept
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(file)


def resident_bytes(directory: Path) -> int | None:
    """Bytes of the files that are in the page cache, None where `fincore` is not installed."""
    if shutil.which("fincore") is None:
        return None
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES"]
    paths = [str(path) for path in _files(directory)]
    total = 0
    for start in range(0, len(paths), 500):
        done = subprocess.run([*command, *paths[start : start + 500]], capture_output=True, text=True, check=False)
        total += sum(map(int, done.stdout.split()))
    return total


def measure_cold(product: Product, dataset: Dataset) -> tuple[list[FirstRequests], list[int | None]]:
    """Per class a start of its own; and how many bytes of the files stayed in the page cache before it."""
    data = product.cluster.status().directory  # as root, the data is not below the installation
    results: list[FirstRequests] = []
    resident: list[int | None] = []
    for name in CLASSES:
        paths = [request.path for request in requests_of(name, samples_of(dataset, DISTINCT), "sequence")]
        product.cluster.stop()
        if not any(_files(data)):
            raise ProductError(f"no files of a database in {data}: nothing could be put out of the page cache")
        drop_files(data)
        resident.append(resident_bytes(data))
        product.cluster.ensure_running()
        try:
            with serving(product) as root:
                results.append(FirstRequests(name=name, cold=each_once(root, paths), warm=each_once(root, paths)))
        finally:
            product.cluster.stop()
    return results, resident


def cold_markdown(classes: Sequence[FirstRequests], resident: Sequence[int | None]) -> str:
    """A table of both."""
    known = [size for size in resident if size is not None]
    left = f"{max(known) / MIB:.0f} MiB of its files still in the page cache" if known else "what stayed is not known"
    lines = [
        f"Cold: database stopped, its files advised out of the page cache ({left}), database and catalog started anew;",
        f"every one of {DISTINCT} different requests once, over one connection. Warm: the same requests a second time.",
        "",
        "| class | cold: req/s (p50 / p95 ms) | warm: req/s (p50 / p95 ms) |",
        "|---|---|---|",
    ]
    lines += [f"| {one.name} | {_words(one.cold)} | {_words(one.warm)} |" for one in classes]
    return "\n".join(lines) + "\n"


def _words(one: Measure) -> str:
    return f"{one.per_second:.0f} ({one.p50_ms:.2f} / {one.p95_ms:.2f})"
