"""No picture is lost or counted twice on any map, at any zoom, anywhere: over the poles and at the antimeridian too."""

from __future__ import annotations

import math
import random
from typing import Any

import httpx2
import numpy as np
import pytest

from catalog_api.tiles.mercator import across, down
from harvester.fold import fold
from tests.index_world import Index
from tests.tile_world import Cartographer, Place, all_tiles, features, layers_of, street

#: Zooms of which every tile is asked for; deeper, only those around pictures.
WHOLE_ZOOMS = 3


def world(chance: random.Random) -> list[list[Place]]:
    """Streets all over the world, at its edges, and places on the very bounds of tiles."""
    streets = [street(chance.uniform(-180, 179), chance.uniform(-89, 89), 6) for _ in range(15)]
    streets += [street(2.35 + chance.uniform(0, 0.3), 48.85, 8) for _ in range(5)]
    streets.append([(179.9998, -16.5), (179.9999, -16.5), (-180.0, -16.5), (-179.9999, -16.5)])
    streets.append([(180.0, 10.0), (-180.0, 10.0)])
    streets.append([(0.0, 0.0), (0.0, 1e-9), (-1e-9, 0.0), (90.0, 0.0), (45.0, 66.51326044311186)])
    streets.append([(10.0, 90.0), (-170.0, -90.0), (30.0, 85.0511287), (30.0, 85.06), (30.0, 89.999), (31.0, -85.2)])
    return streets


@pytest.fixture
async def pictures(map: Cartographer, index: Index) -> int:
    chance = random.Random(11)
    for number, places in enumerate(world(chance)):
        await map.street(places, fov=360 if number % 3 == 0 else 70)
        if number == 10:
            # half of the counts are folded, half are not
            await fold(index.pool, index.settings)
    return int(await index.admin.fetchval("SELECT count(*) FROM pictures WHERE served"))


async def seen(client: httpx2.AsyncClient, index: Index, path: str, layer: str, z: int) -> list[dict[str, Any]]:
    """Features of a layer from every tile of a zoom that can have any: all, or those around each picture."""
    if z <= WHOLE_ZOOMS:
        tiles = {(x, y) for x in range(1 << z) for y in range(1 << z)}
    else:
        rows = await index.admin.fetch("SELECT ST_X(geom), ST_Y(geom) FROM pictures WHERE served")
        tiles = {tile for row in rows for tile in tiles_around(row[0], row[1], z)}
    found: list[dict[str, Any]] = []
    for x, y in sorted(tiles):
        found += features(await layers_of(client, f"{path}/{z}/{x}/{y}.mvt"), layer)
    return found


def tiles_around(longitude: float, latitude: float, z: int, margin: float = 0.1) -> set[tuple[int, int]]:
    """The tile that a place is in, and those it is near to (in sides of a tile)."""
    side = 1 << z
    column, row = float(across(np.array(longitude))) * side, float(down(np.array(latitude))) * side
    near = (-margin, 0.0, margin)
    columns = {math.floor(column + each) % side for each in near}
    return {(x, min(side - 1, max(0, math.floor(row + each)))) for x in columns for each in near}


async def test_lattice_points_sum_up_to_all_pictures_at_every_zoom(
    client: httpx2.AsyncClient, pictures: int, index: Index
) -> None:
    for z in range(7):
        points = await seen(client, index, "map", "grid", z)
        distinct = {point["properties"]["id"] for point in points}
        assert len(distinct) == len(points), f"zoom {z}: a point is in two tiles"
        assert sum(point["properties"]["nb_pictures"] for point in points) == pictures, f"zoom {z}"
        for point in points:
            assert all(0 <= each < 4096 for each in point["geometry"]["coordinates"])
            own = point["properties"]
            assert own["nb_360_pictures"] + own["nb_flat_pictures"] == own["nb_pictures"]


async def test_hexagons_sum_up_to_all_pictures_at_every_zoom(
    client: httpx2.AsyncClient, pictures: int, index: Index
) -> None:
    for z in range(16):
        hexagons = await seen(client, index, "map/2", "grid", z)
        counts = {each["properties"]["id"]: each["properties"]["nb_pictures"] for each in hexagons}
        assert sum(counts.values()) == pictures, f"zoom {z}"
        for each in hexagons:
            ring = each["geometry"]["coordinates"][0]
            assert ring[0] == ring[-1] and len(ring) >= 5, f"{each} of zoom {z} has no area"


async def test_each_picture_is_in_one_tile_of_zoom_15(client: httpx2.AsyncClient, pictures: int, index: Index) -> None:
    rows = await index.admin.fetch("SELECT id::text FROM pictures WHERE served")
    found = [each["properties"]["id"] for each in await seen(client, index, "map", "pictures", 15)]
    assert sorted(found) == sorted(row["id"] for row in rows)


async def test_every_sequence_is_on_every_zoom_of_the_map(
    client: httpx2.AsyncClient, pictures: int, index: Index
) -> None:
    ids = {row[0] for row in await index.admin.fetch("SELECT id::text FROM sequences WHERE pictures > 0")}
    for z in (0, 3):
        layers = await all_tiles(client, "users/541c79f4-6e49-4834-a1b2-60044320abfd/map", z)
        assert {each["properties"]["id"] for tile in layers for each in features(tile, "sequences")} == ids
        for tile in layers:
            for each in features(tile, "sequences"):
                assert width(each["geometry"]) < 4096, "a line goes around the globe"


def width(geometry: dict[str, Any]) -> float:
    """How far east the longest line of a geometry reaches, in units of the tile."""
    lines = geometry["coordinates"] if geometry["type"] == "MultiLineString" else [geometry["coordinates"]]
    return float(max(max(x for x, _ in line) - min(x for x, _ in line) for line in lines))
