"""A map of the real world's size: counts of 262,000 hexagons, 500,000 sequences, and a million pictures in cities."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import asyncpg
import h3.api.basic_int as h3
import numpy as np
import numpy.typing as npt
import shapely

from bench.database import statement
from bench.product import Product
from federation.cells import COUNTED, cell_box, cell_of, lattice_of, parent
from federation.database import point_ewkb
from federation.queries import query
from panofed.cluster import DATABASE

HEXAGONS, SEQUENCES, PICTURES = 262_000, 500_000, 1_000_000
#: Cities with pictures, streets of each, pictures of each street.
CITIES, STREETS = 20, 100
STREET_PICTURES = PICTURES // CITIES // STREETS
_SEED = 7
_VERTICES = 12
#: Degrees: a country that is covered densely, where two fifths of everything is, and towns all over the world.
_COUNTRY = (-4.5, 42.5, 8.0, 51.0)
_TOWNS = 900
#: Of all hexagons, those where a street begins, in the country and in all: streets lead on into their neighbours.
_COUNTRY_SHARE, _START_SHARE = 0.145, 0.287
_DRAWN_AT_ONCE = 200
_METRES_PER_DEGREE = 111_320.0

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Streets:
    """Lines with `x` and `y` of their vertices, one row each, and what is the same along a line."""

    x: Floats
    y: Floats
    days: npt.NDArray[np.int64]
    is_360: npt.NDArray[np.bool_]


def hexagons(chance: np.random.Generator) -> list[int]:
    """Populated hexagons of resolution 7."""
    found: set[int] = set()
    west, south, east, north = _COUNTRY
    while len(found) < HEXAGONS * _COUNTRY_SHARE:
        found.add(parent(cell_of(chance.uniform(west, east), chance.uniform(south, north)), 7))
    towns = [(chance.uniform(-120, 150), chance.normal(35, 18) % 70) for _ in range(_TOWNS)]
    while len(found) < HEXAGONS * _START_SHARE:
        longitude, latitude = towns[chance.integers(_TOWNS)]
        found.add(parent(cell_of(longitude + chance.normal(0, 0.5), latitude + chance.normal(0, 0.4)), 7))
    return sorted(found)


def streets(chance: np.random.Generator, cells: list[int]) -> Streets:
    """A line from each hexagon, and as many more from some; most are some hundred metres to some kilometres long."""
    starts = np.array([h3.cell_to_latlng(cell) for cell in cells])
    more = starts[chance.integers(len(cells), size=SEQUENCES - len(cells) - CITIES * STREETS)]
    starts = np.concatenate([starts, more]) + chance.normal(0, 0.003, (SEQUENCES - CITIES * STREETS, 2))
    length_m = np.exp(chance.normal(math.log(1_200), 1.0, len(starts))).clip(30, 30_000)
    turns = chance.uniform(0, 2 * np.pi, (len(starts), 1)) + np.cumsum(
        chance.normal(0, 0.35, (len(starts), _VERTICES - 1)), axis=1
    )
    step = (length_m / (_VERTICES - 1) / _METRES_PER_DEGREE)[:, None]
    y = starts[:, :1] + np.concatenate([np.zeros((len(starts), 1)), np.cumsum(np.sin(turns) * step, axis=1)], axis=1)
    wide = step / np.cos(np.radians(starts[:, :1]))
    x = starts[:, 1:] + np.concatenate([np.zeros((len(starts), 1)), np.cumsum(np.cos(turns) * wide, axis=1)], axis=1)
    return Streets(x, y, chance.integers(0, 2_000, len(starts)), chance.random(len(starts)) < 0.4)


def city_streets(chance: np.random.Generator) -> Streets:
    """Streets of some kilometres in the middle of cities, with every picture as a vertex, 8 m apart."""
    number = CITIES * STREETS
    west, south, east, north = _COUNTRY
    places = np.repeat(
        np.stack([chance.uniform(west, east, CITIES), chance.uniform(south, north, CITIES)], 1), STREETS, 0
    )
    places = places + chance.normal(0, 0.006, places.shape)
    way = chance.uniform(0, 2 * np.pi, (number, 1)) + chance.normal(0, 0.02, (number, STREET_PICTURES)).cumsum(axis=1)
    step = 8 / _METRES_PER_DEGREE
    y = places[:, 1:] + (np.sin(way) * step).cumsum(axis=1)
    x = places[:, :1] + (np.cos(way) * step / np.cos(np.radians(places[:, 1:]))).cumsum(axis=1)
    return Streets(x, y, chance.integers(0, 2_000, number), chance.random(number) < 0.4)


async def fill(product: Product) -> None:
    """Make all of it in the catalog's database."""
    chance = np.random.default_rng(_SEED)
    connection = await asyncpg.connect(product.cluster.dsn(DATABASE))
    await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary", schema="public")
    try:
        await connection.execute(statement("tiles_reset"))
        await connection.execute(statement("tiles_names"))
        cities, wide = city_streets(chance), streets(chance, hexagons(chance))
        leaves = await _leaves(connection, cities)
        counts: dict[int, Counter[tuple[int, bool, int]]] = {}
        await _write_lines(connection, cities, leaves, counts)
        await _write_lines(connection, wide, None, counts)
        await connection.execute(statement("tiles_sequences"))
        await _write_pictures(connection, cities, leaves, range(CITIES * STREETS))
        await _write_counts(connection, counts)
        await connection.execute("ANALYZE")
        # as the folding job does
        await connection.execute(query("move_grid_scale"), timedelta(days=1))
    finally:
        await connection.close()
    await asyncio.gather(*(_draw(product, each, 2) for each in range(2)))


async def set_pictures(product: Product, pictures: int) -> None:
    """Leave or write so many pictures, street by street. Counts, sequences and lines stay as they are."""
    connection = await asyncpg.connect(product.cluster.dsn(DATABASE))
    await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary", schema="public")
    try:
        streets, there = pictures // STREET_PICTURES, await connection.fetchval(statement("tiles_streets"))
        if there < streets:
            cities = city_streets(np.random.default_rng(_SEED))
            await _write_pictures(connection, cities, await _leaves(connection, cities), range(there, streets))
        elif there > streets:
            await connection.execute(statement("tiles_forget"), streets)
        await connection.execute("VACUUM ANALYZE pictures")
    finally:
        await connection.close()


async def _draw(product: Product, which: int, of: int) -> None:
    connection = await asyncpg.connect(
        product.cluster.dsn(DATABASE), server_settings={"plan_cache_mode": "force_custom_plan", "jit": "off"}
    )
    try:
        for part in range(which, _DRAWN_AT_ONCE, of):
            await connection.execute(statement("tiles_draw"), _DRAWN_AT_ONCE, part)
        await connection.execute("VACUUM ANALYZE sequence_lines") if which == 0 else None
    finally:
        await connection.close()


async def _leaves(connection: asyncpg.Connection, cities: Streets) -> list[list[int]]:
    """The leaf of each picture, made when it is new."""
    found: list[list[int]] = []
    known: set[int] = set()
    for xs, ys in zip(cities.x.tolist(), cities.y.tolist(), strict=True):
        row = [parent(cell_of(x, y), 0) for x, y in zip(xs, ys, strict=True)]
        for leaf in set(row) - known:
            box = cell_box(leaf)
            await connection.execute(query("create_leaf"), leaf, box.west, box.south, box.east, box.north)
            known.add(leaf)
        found.append(row)
    return found


async def _write_lines(
    connection: asyncpg.Connection, lines: Streets, leaves: list[list[int]] | None,
    counts: dict[int, Counter[tuple[int, bool, int]]],
) -> None:  # fmt: skip
    shapes = list(np.asarray(shapely.to_wkb(shapely.linestrings(np.stack([lines.x, lines.y], axis=2)))))
    every = 1 if leaves is not None else 3
    pictures = STREET_PICTURES if leaves is not None else 100
    for number, (xs, ys) in enumerate(zip(lines.x[:, ::every].tolist(), lines.y[:, ::every].tolist(), strict=True)):
        for x, y in zip(xs, ys, strict=True):
            of_cell = counts.setdefault(cell_of(x, y), Counter())
            of_cell[(lattice_of(x, y), bool(lines.is_360[number]), int(lines.days[number]))] += pictures // len(xs)
    await connection.execute(statement("tiles_stage"))
    if leaves is not None:
        await connection.execute("TRUNCATE bench_lines")
    cells = [sorted(set(each)) for each in leaves] if leaves is not None else [[]] * len(shapes)
    rows = zip(shapes, [pictures] * len(shapes), lines.days.tolist(), lines.is_360.tolist(), cells, strict=True)
    await connection.copy_records_to_table("bench_lines", records=rows)


async def _write_pictures(
    connection: asyncpg.Connection, cities: Streets, leaves: list[list[int]], which: range
) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    numbers = await connection.fetch("SELECT n, account, instance FROM sequences ORDER BY n LIMIT $1", len(leaves))
    camera = await connection.fetchval("SELECT min(n) FROM cameras")
    columns = (
        "cell h3 datetime indexed hash sequence rank account camera accuracy_m pixel_density instance azimuth "
        "dictionary is_360 served id geom payload"
    ).split()
    for number in which:
        row = numbers[number]
        taken = start + timedelta(days=int(cities.days[number]))
        ids = np.random.default_rng((_SEED, number)).bytes(16 * STREET_PICTURES)
        places = zip(cities.x[number].tolist(), cities.y[number].tolist(), leaves[number], strict=True)
        records = [
            (
                leaf, cell_of(x, y), taken + timedelta(seconds=rank), taken, 0, row["n"], rank, row["account"],
                camera + number % 40, 4.0, 17.0, row["instance"], rank % 360, 0, bool(cities.is_360[number]), True,
                ids[16 * rank : 16 * rank + 16].hex(), point_ewkb(x, y), b"",
            )
            for rank, (x, y, leaf) in enumerate(places)
        ]  # fmt: skip
        await connection.copy_records_to_table("pictures", records=records, columns=columns)


async def _write_counts(connection: asyncpg.Connection, counts: dict[int, Counter[tuple[int, bool, int]]]) -> None:
    instance = await connection.fetchval("SELECT min(n) FROM instances")
    sums: dict[int, list[int]] = {}
    for cell, kinds in counts.items():
        for (lattice, is_360, day), pictures in kinds.items():
            for key in (lattice, *(parent(cell, resolution) for resolution in COUNTED)):
                own = sums.setdefault(key, [0, 0, 0])
                own[0] += pictures
                own[1] += pictures if is_360 else 0
                own[2] = max(own[2], day)
    first = date(2020, 1, 1)
    rows = ((key, instance, a, b, first + timedelta(days=day)) for key, (a, b, day) in sorted(sums.items()))
    await connection.copy_records_to_table("cell_counts", records=rows)
