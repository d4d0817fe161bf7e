"""Instances rendered once to disk: item bytes ready to be sent as they are, collections, and where each begins."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from bench.items import render_items
from bench.pictures import Integers, pictures_of
from bench.plan import Dataset, DatasetSpec, SequencePlan
from bench.sequences import collection_of, to_json

FORMAT = 1


def default_directory() -> Path:
    """Where generated data is kept: PANOFED_BENCH_DIR, else ~/.cache/panofed-bench."""
    return Path(os.environ.get("PANOFED_BENCH_DIR") or Path.home() / ".cache" / "panofed-bench")


@dataclass(frozen=True, slots=True)
class RenderedInstance:
    """One instance on disk; sequences are in order of id, `first` and `counts` index the item columns.

    An item's bytes are items[starts[k] : starts[k + 1] - 1]: the byte between two is the comma of the array.
    """

    items_path: Path
    numbers: Integers
    ids: list[str]
    first: Integers
    counts: Integers
    updated_us: Integers
    documents: list[bytes]
    starts: Integers
    cut_from: npt.NDArray[np.uint16]
    cut_to: npt.NDArray[np.uint16]


class _Writer:
    """Appends sequences to the files of one instance."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self._name = directory, name
        self._items: BinaryIO = (directory / f"{name}.items").open("wb", buffering=1 << 22)
        self._documents: BinaryIO = (directory / f"{name}.collections").open("wb")
        self._position = 0
        self._rows: list[tuple[int, int, int, int]] = []
        self._ids: list[str] = []
        self._starts: list[int] = []
        self._cuts: list[tuple[int, int]] = []

    def add(self, plan: SequencePlan, base: str) -> None:
        """Render one sequence."""
        pictures = pictures_of(plan)
        self._ids.append(plan.id)
        self._rows.append((plan.number, len(self._starts), plan.count, pictures.updated_us))
        self._documents.write(to_json(collection_of(pictures, base)) + b"\n")
        for item in render_items(pictures, base):
            self._starts.append(self._position)
            self._cuts.append((item.cut_from, item.cut_to))
            self._items.write(item.body)
            self._items.write(b",")
            self._position += len(item.body) + 1

    def close(self) -> None:
        """Write the index."""
        self._items.close()
        self._documents.close()
        np.savez(
            self._directory / f"{self._name}.npz",
            rows=np.asarray(self._rows, dtype=np.int64).reshape(-1, 4),
            ids=np.asarray(self._ids, dtype="S36"),
            starts=np.asarray([*self._starts, self._position], dtype=np.int64),
            cuts=np.asarray(self._cuts, dtype=np.uint16).reshape(-1, 2),
        )


def render(spec: DatasetSpec, bases: list[str], directory: Path) -> Path:
    """Render every instance of a data set below `directory`, or find them there; returns their folder.

    The addresses of the instances are part of every item, hence part of the folder's name.
    """
    key = hashlib.sha256(f"{FORMAT} {spec} {bases}".encode()).hexdigest()[:16]
    final = directory / f"source-{spec.items}-{key}"
    if final.exists():
        return final
    partial = directory / f"partial-{os.getpid()}-{key}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    dataset = Dataset(spec)
    writers = [_Writer(partial, instance.name) for instance in dataset.instances]
    for plan in dataset.sequences():
        writers[plan.instance].add(plan, bases[plan.instance])
    _close(writers)
    partial.rename(final)
    return final


def _close(writers: Iterable[_Writer]) -> None:
    for writer in writers:
        writer.close()


def load(folder: Path, name: str) -> RenderedInstance:
    """Open a rendered instance."""
    with np.load(folder / f"{name}.npz") as index:
        rows, ids, starts, cuts = index["rows"], index["ids"], index["starts"], index["cuts"]
    order = np.argsort(ids)
    documents = (folder / f"{name}.collections").read_bytes().split(b"\n")
    numbers, first, counts, updated = (np.ascontiguousarray(rows[order, column]) for column in range(4))
    return RenderedInstance(
        items_path=folder / f"{name}.items",
        numbers=numbers,
        ids=[text.decode() for text in ids[order].tolist()],
        first=first,
        counts=counts,
        updated_us=updated,
        documents=[documents[k] for k in order.tolist()],
        starts=starts,
        cut_from=np.ascontiguousarray(cuts[:, 0]),
        cut_to=np.ascontiguousarray(cuts[:, 1]),
    )
