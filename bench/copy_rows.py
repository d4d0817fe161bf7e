"""Rows of pictures and of the locator as binary COPY wants them, made by columns: a hundred thousand at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bench.leaf_plan import leaf_numbers
from bench.pictures import Integers, SequencePictures
from bench.plan import Floats
from bench.pool import Kind, kind_of
from bench.world import INSTANCES
from federation.cells import cell_of

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = b"\xff\xff"
NULLS = b"\xff\xff\xff\xff" * 2
EPOCH_US = 946_684_800_000_000  # 2000-01-01, where PostgreSQL counts from
EWKB_POINT = 0x2000_0001
SRID = 4326

_FIXED = (
    ("cell", ">i8"), ("h3", ">i8"), ("datetime", ">i8"), ("created", ">i8"), ("updated", ">i8"), ("indexed", ">i8"),
    ("hash", ">i8"), ("sequence", ">i4"), ("rank", ">i4"), ("account", ">i4"), ("camera", ">i4"),
    ("original_bytes", ">i4"), ("field_of_view", ">f4"), ("accuracy_m", ">f4"), ("pixel_density", ">f4"),
    ("instance", ">i2"), ("license", ">i2"), ("azimuth", ">i2"), ("dictionary", ">i2"), ("is_360", "u1"),
    ("served", "u1"), ("id", "V16"), ("geom", [("order", "u1"), ("type", "<u4"), ("srid", "<u4"), ("xy", "<f8", 2)]),
)  # fmt: skip
_LOCATED = (
    ("cell", ">i8"), ("id", "V16"), ("sequence", ">i4"), ("rank", ">i4"), ("instance", ">i2"), ("copy", ">i2"),
)  # fmt: skip
_NEIGHBOUR = (("id", "V16"), ("at", [("xy", ">f8", 2)]))
#: Columns of `pictures` in the order of a row made here; the four of the neighbours and the two of the pool last.
PICTURE_COLUMNS = (*(name for name, _ in _FIXED), "prev_id", "prev_at", "next_id", "next_at", "semantics", "payload")
LOCATOR_COLUMNS = tuple(name for name, _ in _LOCATED)

Columns = Mapping[str, object]


def row_type(fields: Iterable[tuple[str, object]], columns: int = 0) -> np.dtype[np.void]:
    """A structured type of one row: every field after its length, all after the number of columns where given.

    >>> row_type([("a", ">i8"), ("b", ">i2")], 2).itemsize
    20
    """
    parts: list[tuple[str, object]] = [("columns", ">i2")] if columns else []
    for name, kind in fields:
        parts += [(f"{name} length", ">i4"), (name, kind)]
    return np.dtype(parts)


PICTURE = row_type(_FIXED, len(PICTURE_COLUMNS))
LOCATED = row_type(_LOCATED, len(LOCATOR_COLUMNS))
NEIGHBOUR = row_type(_NEIGHBOUR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """What rows point to: numbers of instances, accounts, cameras, licenses and dictionaries, all from 1."""

    instances: Sequence[int]
    accounts: Mapping[str, int]
    cameras: Sequence[int]
    licenses: Mapping[str, int]
    dictionaries: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some sequences ready to be copied: bytes per leaf (by its position in the list of leaves), the locator's bytes.

    `touched` has (sequence, position of a leaf) for every leaf a sequence has pictures in.
    """

    pictures: int
    by_leaf: dict[int, bytes]
    located: bytes
    touched: list[tuple[int, int]]


def _empty(kind: np.dtype[np.void], count: int, columns: int) -> npt.NDArray[np.void]:
    rows: npt.NDArray[np.void] = np.zeros(count, dtype=kind)
    names = kind.names or ()
    if columns:
        rows["columns"] = columns
    for name in names:
        if f"{name} length" in names:
            rows[f"{name} length"] = kind[name].itemsize
    return rows


def _pieces(rows: npt.NDArray[np.void]) -> list[bytes]:
    pieces: list[bytes] = rows.view(f"V{rows.dtype.itemsize}").tolist()
    return pieces


def cells_of(lon: Floats, lat: Floats) -> Integers:
    """The finest cell of every point."""
    return np.fromiter(map(cell_of, lon.tolist(), lat.tolist()), dtype=np.int64, count=len(lon))


def ids_of(ids: Iterable[str]) -> npt.NDArray[np.void]:
    """UUIDs as 16 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(ids).replace("-", "")), dtype="V16")


def make_chunk(
    some: Sequence[SequencePictures],
    numbers: Numbers,
    leaves: Sequence[int],
    pool: Mapping[Kind, list[bytes]],
    indexed_us: int,
) -> Chunk:
    """The rows of these sequences. Sequence numbers are one more than those of their plans."""
    counts = np.array([each.plan.count for each in some])
    ids = ids_of(identifier for each in some for identifier in each.ids)
    xy = np.column_stack([np.concatenate([each.lon for each in some]), np.concatenate([each.lat for each in some])])
    h3 = cells_of(xy[:, 0], xy[:, 1])
    at = leaf_numbers(h3, leaves)
    rows = _empty(PICTURE, len(h3), len(PICTURE_COLUMNS))
    rows["id"], rows["h3"], rows["cell"] = ids, h3, np.asarray(leaves, dtype=np.int64)[at]
    _fill_columns(rows, some, counts, xy, indexed_us)
    for name, values in _sequence_columns(some, numbers).items():
        rows[name] = np.repeat(values, counts)
    before, after = _neighbours(ids, xy, counts)
    pieces = list(map(b"".join, zip(_pieces(rows), before, after, _from_pool(some, pool), strict=True)))
    return Chunk(
        pictures=len(h3),
        by_leaf=dict(_grouped(pieces, at)),
        located=HEAD + _located(rows).tobytes() + TAIL,
        touched=_touched(rows["sequence"].astype(np.int64), at, len(leaves)),
    )


def _fill_columns(
    rows: npt.NDArray[np.void], some: Sequence[SequencePictures], counts: Integers, xy: Floats, indexed_us: int
) -> None:
    """What differs from picture to picture."""
    created = np.concatenate([each.created_us for each in some]) - EPOCH_US
    rows["datetime"] = np.concatenate([each.taken_ms for each in some]) * 1000 - EPOCH_US
    rows["created"] = rows["updated"] = created
    rows["indexed"], rows["served"] = indexed_us - EPOCH_US, 1
    rows["hash"] = rows["id"].copy().view(">i8")[1::2]  # random, as a hash is
    rows["rank"] = np.concatenate([np.arange(1, count + 1) for count in counts.tolist()])
    rows["original_bytes"] = np.concatenate([each.bytes for each in some])
    # rounded as the item says it: half degrees to the even one
    rows["azimuth"] = np.rint(np.concatenate([each.direction for each in some]) / 100).astype(np.int64) % 360
    geometry = rows["geom"]
    geometry["order"], geometry["type"], geometry["srid"], geometry["xy"] = 1, EWKB_POINT, SRID, xy


def _sequence_columns(some: Sequence[SequencePictures], numbers: Numbers) -> dict[str, list[float]]:
    """What all pictures of a sequence share, one value per sequence."""
    plans = [each.plan for each in some]
    return {
        "sequence": [plan.number + 1 for plan in plans],
        "instance": [numbers.instances[plan.instance] for plan in plans],
        "account": [numbers.accounts[plan.account_id] for plan in plans],
        "camera": [numbers.cameras[plan.camera_number] for plan in plans],
        "dictionary": [numbers.dictionaries.get(plan.instance, 0) for plan in plans],
        "license": [numbers.licenses[license_of(plan.instance)] for plan in plans],
        "field_of_view": [plan.camera.field_of_view for plan in plans],
        "pixel_density": [plan.camera.width // plan.camera.field_of_view for plan in plans],
        "accuracy_m": [each.accuracy_cm / 100 for each in some],
        "is_360": [plan.camera.panoramic for plan in plans],
    }


def _neighbours(ids: npt.NDArray[np.void], xy: Floats, counts: Integers) -> tuple[list[bytes], list[bytes]]:
    """Of every row, the two fields of the picture before and of the one after; nulls at the ends of a sequence."""
    rows = _empty(NEIGHBOUR, len(ids), 0)
    rows["id"] = ids
    rows["at"]["xy"] = xy
    pieces = _pieces(rows)
    before, after = [NULLS, *pieces[:-1]], [*pieces[1:], NULLS]
    ends = np.cumsum(counts)
    for end in ends[:-1].tolist():
        before[end], after[end - 1] = NULLS, NULLS
    return before, after


def _from_pool(some: Sequence[SequencePictures], pool: Mapping[Kind, list[bytes]]) -> Iterator[bytes]:
    for each in some:
        fields = pool[kind_of(each.plan)]
        first = each.plan.number * 7_919 % len(fields)
        for rank in range(first, first + each.plan.count):
            yield fields[rank % len(fields)]


def _grouped(pieces: list[bytes], at: npt.NDArray[np.intp]) -> Iterator[tuple[int, bytes]]:
    order = np.argsort(at, kind="stable")
    found, first = np.unique(at[order], return_index=True)
    for leaf, rows in zip(found.tolist(), np.split(order, first[1:]), strict=True):
        yield leaf, b"".join([HEAD, *map(pieces.__getitem__, rows.tolist()), TAIL])


def _located(rows: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    located = _empty(LOCATED, len(rows), len(LOCATOR_COLUMNS))
    for name in LOCATOR_COLUMNS[:-1]:
        located[name] = rows[name]
    return located


def _touched(sequences: Integers, at: npt.NDArray[np.intp], leaves: int) -> list[tuple[int, int]]:
    pairs = np.unique(sequences * leaves + at)
    return list(zip((pairs // leaves).tolist(), (pairs % leaves).tolist(), strict=True))


def license_of(instance: int) -> str:
    """The license of an instance of the generated federation."""
    return INSTANCES[instance].license
