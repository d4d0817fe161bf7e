"""The requests of the side by side measurement: the same pictures and places asked of every server."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from bench.pictures import pictures_of
from bench.plan import Dataset
from bench.world import REGIONS, Town

BLOCK_DEGREES = (0.001, 0.0007)
CITY_DEGREES = (0.07, 0.05)
COUNTRY_DEGREES = (3.0, 2.0)
POLYGON_CORNERS = 12
#: (first UTC day, days): windows of the years in which the generated pictures were taken
WINDOW_DAYS = (1, 7)
FILTER_DEGREES = 3
DEEP_PAGES = 20
CLASSES = (
    "landing",
    "item_by_id",
    "search_id1",
    "bbox_block_l10",
    "bbox_block_l100",
    "bbox_city_l100",
    "bbox_country_l100",
    "bbox_city_l1000",
    "polygon_l100",
    "datetime_l100",
    "city_datetime_l100",
    "city_sorted_l100",
    "city_filter_l100",
    "deep_page_l100",
    "collections_l100",
)
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
    #: so many `next` links further on is what is asked for
    pages_on: int = 0
    #: whether other servers must answer the same
    compared: bool = True


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


def _more(request: LoadRequest, parameters: str) -> LoadRequest:
    """The same search with more parameters."""
    return LoadRequest(path=f"{request.path}&{parameters}", limit=request.limit, box=request.box)


def _polygon(sample: Sample) -> LoadRequest:
    """A city-sized polygon of twelve corners around a picture."""
    ring = [
        [
            round(sample.lon + CITY_DEGREES[0] / 2 * math.cos(turn), 6),
            round(sample.lat + CITY_DEGREES[1] / 2 * math.sin(turn), 6),
        ]
        for turn in (2 * math.pi * k / POLYGON_CORNERS for k in range(POLYGON_CORNERS))
    ]
    shape = json.dumps({"type": "Polygon", "coordinates": [[*ring, ring[0]]]}, separators=(",", ":"))
    return LoadRequest(path=f"/search?intersects={quote(shape)}&limit=100", limit=100)


def _windows(count: int) -> Iterator[str]:
    """Intervals of one to seven days."""
    rng = random.Random(11)
    for _ in range(count):
        year, month, day = rng.randrange(2020, 2026), rng.randrange(1, 13), rng.randrange(1, 20)
        last = day + rng.randint(*WINDOW_DAYS)
        yield f"{year}-{month:02}-{day:02}T00:00:00Z/{year}-{month:02}-{last:02}T00:00:00Z"


def _azimuths(count: int) -> Iterator[str]:
    """Filters that a hundredth of the pictures pass."""
    rng = random.Random(13)
    for _ in range(count):
        low = rng.randrange(0, 360 - FILTER_DEGREES)
        yield quote(f'"view:azimuth" >= {low} AND "view:azimuth" < {low + FILTER_DEGREES}')


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
    if name in makers:
        return [makers[name](sample) for sample in samples]
    return _over_towns(name, samples)


def _over_towns(name: str, samples: list[Sample]) -> list[LoadRequest]:
    """The classes that ask about towns, countries and times, not about pictures that are known."""
    count = len(samples)
    cities = [_search(box, 100) for box in _city_boxes(count)]
    windows = [f"datetime={quote(window)}" for window in _windows(count)]
    filters = [f"filter-lang=cql2-text&filter={wanted}" for wanted in _azimuths(count)]
    classes: dict[str, Callable[[], list[LoadRequest]]] = {
        "bbox_city_l100": lambda: cities,
        "bbox_city_l1000": lambda: [_search(box, 1_000) for box in _city_boxes(count)],
        "bbox_country_l100": lambda: [_search(box_around(s.lon, s.lat, COUNTRY_DEGREES), 100) for s in samples],
        "polygon_l100": lambda: [_polygon(sample) for sample in samples],
        "datetime_l100": lambda: [LoadRequest(path=f"/search?{window}&limit=100", limit=100) for window in windows],
        "city_datetime_l100": lambda: list(map(_more, cities, windows)),
        "city_sorted_l100": lambda: [_more(city, "sortby=-datetime") for city in cities],
        "city_filter_l100": lambda: list(map(_more, cities, filters)),
        "deep_page_l100": lambda: [
            LoadRequest(path=city.path, limit=100, pages_on=DEEP_PAGES, compared=False) for city in cities[:10]
        ],
        "collections_l100": lambda: [LoadRequest(path="/collections?limit=100", compared=False)] * count,
    }
    return classes[name]()
