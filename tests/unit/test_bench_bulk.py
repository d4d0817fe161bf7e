"""A catalog filled by COPY: the leaves are those that splits lead to, and the bytes are what PostgreSQL reads."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bench.copy_rows import EPOCH_US, HEAD, PICTURE_COLUMNS, TAIL, Numbers, cells_of, make_chunk
from bench.document import filled
from bench.leaf_plan import leaf_numbers, plan_leaves
from bench.pictures import pictures_of
from bench.plan import Dataset, DatasetSpec
from bench.pool import Kind, kind_of
from bench.world import CAMERAS
from federation.cells import children, parent, resolution_of

NULL = None


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return Dataset(DatasetSpec(items=2_000))


def parsed_rows(copied: bytes) -> list[list[bytes | None]]:
    """The rows of a binary COPY, field by field."""
    assert copied.startswith(HEAD) and copied.endswith(TAIL)
    rows: list[list[bytes | None]] = []
    at = len(HEAD)
    while (count := struct.unpack_from(">h", copied, at)[0]) >= 0:
        at += 2
        row: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", copied, at)
            row.append(NULL if length < 0 else copied[at + 4 : at + 4 + length])
            at += 4 + max(length, 0)
        rows.append(row)
    assert at + 2 == len(copied)
    return rows


def test_leaves_hold_at_most_the_maximum_and_every_picture_has_one(dataset: Dataset) -> None:
    cells = np.concatenate([cells_of(one.lon, one.lat) for one in map(pictures_of, dataset.sequences())])
    distinct, pictures = np.unique(cells, return_counts=True)
    leaves = plan_leaves(distinct, pictures, 0, 200)
    found = leaf_numbers(cells, leaves)
    assert np.bincount(found).max() <= 200
    assert all(
        parent(cell, resolution_of(leaves[at])) == leaves[at]
        for cell, at in zip(cells.tolist(), found.tolist(), strict=True)
    )


def test_a_split_makes_all_children() -> None:
    cell = 0x8B1FB466258BFFF
    leaves = plan_leaves(np.array([cell]), np.array([10]), 0, 9)
    assert set(children(parent(cell, 0))) - {parent(cell, 1)} <= set(leaves)
    assert resolution_of(leaves[int(leaf_numbers(np.array([cell]), leaves)[0])]) == 11


def test_a_point_without_leaf_is_an_error() -> None:
    with pytest.raises(ValueError, match="no leaf for the cell 8b1fb466258bfff"):
        leaf_numbers(np.array([0x8B1FB466258BFFF]), [parent(0x8B7FFFFFFFFFFFF, 0)])


def test_rows_tell_place_time_and_neighbours(dataset: Dataset) -> None:
    some = [pictures_of(dataset.plan(number)) for number in range(2)]
    cells = np.concatenate([cells_of(one.lon, one.lat) for one in some])
    leaves = sorted({parent(cell, 0) for cell in cells.tolist()})
    pool: dict[Kind, list[bytes]] = {kind_of(one.plan): [b"\xff\xff\xff\xff\x00\x00\x00\x01x"] for one in some}
    numbers = Numbers(
        instances=(1, 2, 3),
        accounts={one.plan.account_id: 5 for one in some},
        cameras=range(1, len(CAMERAS) + 1),
        licenses={"CC-BY-SA-4.0": 1, "etalab-2.0": 2},
        dictionaries={},
    )
    chunk = make_chunk(some, numbers, leaves, pool, EPOCH_US + 7)
    rows = [
        dict(zip(PICTURE_COLUMNS, row, strict=True)) for part in chunk.by_leaf.values() for row in parsed_rows(part)
    ]
    assert chunk.pictures == len(rows) == sum(one.plan.count for one in some)
    by_id = {row["id"]: row for row in rows}
    for one in some:
        ids = [bytes.fromhex(identifier.replace("-", "")) for identifier in one.ids]
        for rank, identifier in enumerate(ids, 1):
            row = by_id[identifier]
            assert row["rank"] == struct.pack(">i", rank)
            assert row["sequence"] == struct.pack(">i", one.plan.number + 1)
            assert row["datetime"] == struct.pack(">q", int(one.taken_ms[rank - 1]) * 1000 - EPOCH_US)
            assert row["geom"] == struct.pack("<BIIdd", 1, 0x20000001, 4326, one.lon[rank - 1], one.lat[rank - 1])
            assert row["prev_id"] == (ids[rank - 2] if rank > 1 else NULL)
            assert row["next_id"] == (ids[rank] if rank < len(ids) else NULL)
            assert row["next_at"] == (struct.pack(">dd", one.lon[rank], one.lat[rank]) if rank < len(ids) else NULL)
            assert (row["semantics"], row["payload"], row["indexed"]) == (NULL, b"x", struct.pack(">q", 7))
    assert len(parsed_rows(chunk.located)) == len(rows)


def test_tables_are_written_between_their_markers_and_nowhere_else() -> None:
    stages = {"name": "merge", "items": 10, "wall_s": 1.0, "cpu_s": 0.5, "postgres_cpu_s": 0.2}
    result = {"at": "2026-01-02T03:04:05", "machine": "m", "python": "3", "load": "0", "measured": {"stages": [stages]}}
    text = "before\n<!-- stages:start -->\nold\n<!-- stages:end -->\nafter\n<!-- counts:start --><!-- counts:end -->\n"
    made, written, missing = filled(text, {"stages": result})
    assert made.startswith("before\n<!-- stages:start -->\n") and "old" not in made and "| merge | 10 |" in made
    assert made.endswith("<!-- stages:end -->\nafter\n<!-- counts:start --><!-- counts:end -->\n")
    assert (written, missing) == (["stages"], [])
    assert filled(made, {"stages": result})[0] == made
