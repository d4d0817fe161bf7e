"""What a data set holds, before any picture is made: one small record per sequence, any range of them alone."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from bench.world import CAMERAS, FIRST_NAMES, INSTANCES, REGIONS, Camera, Instance, Town

BLOCK = 1024
MEAN_PICTURES = 125
LENGTH_SIGMA = 1.1
LONGEST = 4_000
LONG_SEQUENCE = 50_000
FIRST_DAY_MS = 1_514_764_800_000  # 2018-01-01
LAST_DAY_MS = 1_782_864_000_000  # 2026-07-01
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSpec:
    """A data set: how many pictures, spread over how many instances; the same spec is the same data everywhere.

    `long_sequence` adds one sequence of 50,000 pictures to the first instance, beside the `items`.
    """

    items: int = 100_000
    instances: int = 3
    seed: int = 1
    long_sequence: bool = False

    def __post_init__(self) -> None:
        if self.items < 1:
            raise ValueError(f"items={self.items}: must be at least 1")
        if not 1 <= self.instances <= len(INSTANCES):
            raise ValueError(f"instances={self.instances}: must be 1 to {len(INSTANCES)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencePlan:
    """One sequence to be: `count` pictures of one camera in one town; times are UTC milliseconds."""

    number: int
    seed: int
    id: str
    instance: int
    town: Town
    town_number: int
    camera: Camera
    camera_number: int
    account: str
    account_id: str
    serial: str
    count: int
    rural: bool
    start_ms: int
    uploaded_ms: int


@dataclass(frozen=True, slots=True)
class _Block:
    """The drawn numbers of 1,024 sequences, as columns."""

    lengths: npt.NDArray[np.int64]
    uniforms: Floats
    ids: bytes


def random_of(*key: int) -> np.random.Generator:
    """A generator of its own for this key: the same numbers whatever else was drawn before."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def uuids_of(raw: bytes) -> list[str]:
    """Version 4 UUIDs as text, one per 16 bytes.

    >>> uuids_of(bytes(16))
    ['00000000-0000-4000-8000-000000000000']
    """
    octets = np.frombuffer(raw, dtype=np.uint8).reshape(-1, 16).copy()
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    text = octets.tobytes().hex()
    return [
        f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}"
        for one in (text[i : i + 32] for i in range(0, len(text), 32))
    ]


def _draw_block(seed: int, block: int) -> _Block:
    rng = random_of(seed, 1, block)
    mu = np.log(MEAN_PICTURES) - LENGTH_SIGMA**2 / 2
    lengths = np.exp(mu + LENGTH_SIGMA * rng.standard_normal(BLOCK))
    return _Block(np.clip(lengths, 1, LONGEST).astype(np.int64), rng.random((BLOCK, 10)), rng.bytes(16 * BLOCK))


def _cumulative(weights: list[float]) -> Floats:
    total: Floats = np.cumsum(np.asarray(weights, dtype=np.float64))
    cumulative: Floats = total / total[-1]
    return cumulative


@lru_cache(maxsize=32)
def _town_table(instance: int) -> tuple[tuple[tuple[int, Town], ...], Floats]:
    """The towns of an instance, with a number unique among all towns, and their cumulative probabilities."""
    numbered = {town.name: number for number, town in enumerate(t for towns in REGIONS.values() for t in towns)}
    towns: list[tuple[int, Town]] = []
    weights: list[float] = []
    for region, share in INSTANCES[instance].regions:
        whole = sum(town.weight for town in REGIONS[region])
        towns += [(numbered[town.name], town) for town in REGIONS[region]]
        weights += [share * town.weight / whole for town in REGIONS[region]]
    return tuple(towns), _cumulative(weights)


@lru_cache(maxsize=32)
def _camera_table(instance: int) -> Floats:
    """Survey vehicles abound on the second instance, as on the real federation; elsewhere the general mix."""
    weights = [camera.weight * (3 if instance == 1 and camera.make == "STFMANI" else 1) for camera in CAMERAS]
    return _cumulative(weights)


@lru_cache(maxsize=65536)
def _account(seed: int, instance: int, number: int) -> tuple[str, str]:
    """Name and id of the n-th account of an instance; ids differ between instances, as the software makes them."""
    rng = random_of(seed, 3, instance, number)
    first, second = (FIRST_NAMES[int(k)] for k in rng.integers(0, len(FIRST_NAMES), 2))
    return f"{first}{('', '_', '.')[number % 3]}{second}{number}", uuids_of(rng.bytes(16))[0]


class Dataset:
    """The sequences of a spec in their order; nothing is kept but the drawn numbers of the last blocks."""

    def __init__(self, spec: DatasetSpec) -> None:
        self.spec = spec
        self.instances: tuple[Instance, ...] = INSTANCES[: spec.instances]
        self._shares = _cumulative([instance.share for instance in self.instances])
        self._block = lru_cache(maxsize=8)(lambda block: _draw_block(spec.seed, block))
        self._counts = self._count_sequences()

    def _count_sequences(self) -> npt.NDArray[np.int64]:
        """The length of every sequence; the last one is cut so that the sum is exactly `items`."""
        parts: list[npt.NDArray[np.int64]] = []
        missing, block = self.spec.items, 0
        while missing > 0:
            lengths = self._block(block).lengths
            whole = int(np.searchsorted(np.cumsum(lengths), missing))
            part = lengths[: whole + 1].copy()
            missing -= int(part.sum())
            parts.append(part)
            block += 1
        counts = np.concatenate(parts)
        counts[-1] += missing
        extra = [LONG_SEQUENCE] if self.spec.long_sequence else []
        return np.append(counts, np.asarray(extra, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._counts)

    @property
    def pictures(self) -> int:
        """How many pictures in all, the long sequence included."""
        return int(self._counts.sum())

    def sequences(
        self, first: int = 0, last: int | None = None, *, instance: int | None = None
    ) -> Iterator[SequencePlan]:
        """Plans of the sequences numbered first <= n < last, of one instance or of all."""
        for number in range(first, len(self) if last is None else min(last, len(self))):
            plan = self.plan(number)
            if instance is None or plan.instance == instance:
                yield plan

    def plan(self, number: int) -> SequencePlan:
        """The plan of one sequence; IndexError when the data set has no such number."""
        count = int(self._counts[number])
        block = self._block(number // BLOCK)
        row = number % BLOCK
        u = block.uniforms[row]
        long = self.spec.long_sequence and number == len(self) - 1
        instance = 0 if long else int(np.searchsorted(self._shares, u[0]))
        towns, weights = _town_table(instance)
        town_number, town = towns[min(int(np.searchsorted(weights, u[1])), len(towns) - 1)]
        camera_number = int(np.searchsorted(_camera_table(instance), u[2]))
        owner = min(int((1 - u[3]) ** (-1 / 0.9)), 400)
        account, account_id = _account(self.spec.seed, instance, owner)
        # Later years hold more pictures: the square root of a uniform number rises towards 1.
        start_ms = FIRST_DAY_MS + int(u[4] ** 0.5 * (LAST_DAY_MS - FIRST_DAY_MS) * 0.98)
        return SequencePlan(
            number=number,
            seed=self.spec.seed,
            id=uuids_of(block.ids[16 * row : 16 * row + 16])[0],
            instance=instance,
            town=town,
            town_number=town_number,
            camera=CAMERAS[camera_number],
            camera_number=camera_number,
            account=account,
            account_id=account_id,
            serial=f"C{uuid.uuid5(uuid.NAMESPACE_OID, f'{account_id}{camera_number}').int % 10**13:013d}",
            count=count,
            rural=long or bool(u[5] < 0.22),
            start_ms=start_ms - start_ms % 86_400_000 + int((6 + 12 * u[6]) * 3_600_000),
            uploaded_ms=start_ms + 86_400_000 + int(-np.log1p(-u[7]) * 9 * 86_400_000),
        )
