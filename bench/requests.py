"""The requests of the side by side measurement: the same pictures and places asked of every server."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from bench.pictures import pictures_of
from bench.plan import Dataset
from bench.world import REGIONS, Town

BLOCK_DEGREES = (0.001, 0.0007)
CITY_DEGREES = (0.07, 0.05)
CLASSES = ("landing", "item_by_id", "search_id1", "bbox_block_l10", "bbox_block_l100", "bbox_city_l100")
#: "sequence": a collection is a sequence, as on an instance; "instance": one collection per instance
Layout = Literal["sequence", "instance"]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture that is asked for."""

    id: str
    sequence: str
    instance: str
    lon: float
    lat: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """One request: its path below the API root, and what its answer must be like."""

    path: str
    limit: int = 0
    box: Box | None = None


def samples_of(dataset: Dataset, count: int) -> list[Sample]:
    """Pictures spread evenly over the data set; deterministic."""
    rng = random.Random(dataset.spec.seed)
    step = max(1, len(dataset) // count)
    samples = []
    for number in list(range(0, len(dataset), step))[:count]:
        pictures = pictures_of(dataset.plan(number))
        k = rng.randrange(pictures.plan.count)
        samples.append(
            Sample(
                id=pictures.ids[k],
                sequence=pictures.plan.id,
                instance=dataset.instances[pictures.plan.instance].name,
                lon=float(pictures.lon[k]),
                lat=float(pictures.lat[k]),
            )
        )
    rng.shuffle(samples)
    return samples


def box_around(lon: float, lat: float, half: tuple[float, float]) -> Box:
    """West, south, east, north; kept inside the globe.

    >>> box_around(2.0, 48.0, (0.5, 0.25))
    (1.5, 47.75, 2.5, 48.25)
    """
    west, east = max(-180.0, lon - half[0]), min(180.0, lon + half[0])
    return round(west, 6), round(max(-90.0, lat - half[1]), 6), round(east, 6), round(min(90.0, lat + half[1]), 6)


def _search(box: Box, limit: int) -> LoadRequest:
    west, south, east, north = box
    return LoadRequest(path=f"/search?bbox={west},{south},{east},{north}&limit={limit}", limit=limit, box=box)


def _city_boxes(count: int) -> Iterator[Box]:
    """Boxes over the largest towns, each a little shifted."""
    rng = random.Random(7)
    towns: list[Town] = [town for region in ("france", "belgium") for town in REGIONS[region] if town.weight >= 3]
    for _ in range(count):
        town = rng.choice(towns)
        shifted = town.lon + rng.uniform(-0.01, 0.01), town.lat + rng.uniform(-0.01, 0.01)
        yield box_around(*shifted, CITY_DEGREES)


def requests_of(name: str, samples: list[Sample], layout: Layout) -> list[LoadRequest]:
    """All distinct requests of a class, in the same order for every layout; KeyError for an unknown class."""

    def item(sample: Sample) -> LoadRequest:
        collection = sample.sequence if layout == "sequence" else sample.instance
        return LoadRequest(path=f"/collections/{collection}/items/{sample.id}")

    def block(limit: int) -> Callable[[Sample], LoadRequest]:
        return lambda sample: _search(box_around(sample.lon, sample.lat, BLOCK_DEGREES), limit)

    makers: dict[str, Callable[[Sample], LoadRequest]] = {
        "landing": lambda _: LoadRequest(path="/"),
        "item_by_id": item,
        "search_id1": lambda sample: LoadRequest(path=f"/search?ids={sample.id}"),
        "bbox_block_l10": block(10),
        "bbox_block_l100": block(100),
    }
    if name == "bbox_city_l100":
        return [_search(box, 100) for box in _city_boxes(len(samples))]
    return [makers[name](sample) for sample in samples]
