"""Tiles are written as another library reads them; no cell that meets a tile is left out of its spans."""

from __future__ import annotations

import random

import mapbox_vector_tile
import numpy as np
import pytest

from catalog_api.tiles import mvt
from catalog_api.tiles.address import Tile
from catalog_api.tiles.hexagons import Outlines, resolution_of_zoom, spans
from catalog_api.tiles.mercator import across, down
from federation.cells import FINEST, Box, cell_of, parent, span_of, spans_meeting

WORDS = ("flat", "equirectangular")


def decoded(layer: bytes) -> list[dict[str, object]]:
    read = mapbox_vector_tile.decode(layer, default_options={"y_coord_down": True})
    assert list(read) == ["grid"] and read["grid"]["extent"] == 4096
    found: list[dict[str, object]] = read["grid"]["features"]
    return found


def test_points_and_attributes_come_back() -> None:
    chance = random.Random(5)
    count = 20_000
    numbers = np.array([chance.choice([0, 1, 127, 128, 300, 2**31, chance.randrange(10**6)]) for _ in range(count)])
    x = np.array([chance.randrange(-200, 5000) for _ in range(count)])
    y = np.array([chance.randrange(-200, 5000) for _ in range(count)])
    which = np.array([chance.choice([-1, 0, 1]) for _ in range(count)])
    cells = np.array([chance.getrandbits(59) | 1 << 59 for _ in range(count)])
    different, (amount, half) = mvt.distinct((numbers, numbers // 2))
    values = mvt.integers(different)
    columns = [
        mvt.Column("share", mvt.tenths(11), numbers % 11),
        mvt.Column("number", values, amount),
        mvt.Column("half", values, half),
        mvt.Column("kind", mvt.texts(WORDS), which),
        mvt.Column("id", mvt.names(cells), np.arange(count)),
    ]
    found = decoded(mvt.layer("grid", columns, mvt.points(x, y)))
    assert len(found) == count
    for place, feature in enumerate(found):
        expected = {
            "number": numbers[place], "half": numbers[place] // 2, "share": numbers[place] % 11 / 10,
            "id": f"{cells[place]:x}",
        }  # fmt: skip
        if which[place] >= 0:
            expected["kind"] = WORDS[which[place]]
        assert feature["properties"] == expected
        assert feature["geometry"] == {"type": "Point", "coordinates": [x[place], y[place]]}


def test_rings_of_different_lengths_come_back() -> None:
    x = np.array([[0, 10, 10, 0, 0, 0], [-5, 5, 8, 5, -5, -8]])
    y = np.array([[0, 0, 10, 10, 10, 10], [0, 0, 4, 8, 8, 4]])
    columns = [mvt.Column("nb", mvt.integers(np.array([3, 4])), np.arange(2))]
    found = decoded(mvt.layer("grid", columns, mvt.polygons(x.T, y.T, np.array([4, 6]))))
    rings = [feature["geometry"]["coordinates"][0] for feature in found]  # type: ignore[index]
    assert rings[0] == [[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]
    assert rings[1] == [[-5, 0], [5, 0], [8, 4], [5, 8], [-5, 8], [-8, 4], [-5, 0]]


def test_a_layer_without_features_is_nothing() -> None:
    nothing = np.empty(0, np.int64)
    assert mvt.layer("grid", [mvt.Column("nb", mvt.integers(nothing), nothing)], mvt.points(nothing, nothing)) == b""


@pytest.mark.parametrize("z", range(16))
def test_the_hexagon_of_every_place_is_in_the_spans_of_its_tile(z: int) -> None:
    chance = random.Random(z)
    resolution, side = resolution_of_zoom(z), 1 << z
    edges = [(0.0, 0.0), (180.0, 0.0), (-180.0, 70.0), (10.0, 84.9), (10.0, -85.05), (179.99999, -16.0)]
    places = edges + [(chance.uniform(-180, 180), chance.uniform(-85, 85)) for _ in range(60)]
    for longitude, latitude in places:
        x = min(side - 1, int(float(across(np.array(longitude))) * side))
        y = min(side - 1, int(float(down(np.array(latitude))) * side))
        cell = parent(cell_of(longitude, latitude), resolution)
        first, last = spans(Tile(z, x, y))
        assert ((first <= cell) & (cell <= last)).any(), (longitude, latitude)


def test_hexagons_of_all_the_world_have_corners_in_order() -> None:
    chance = random.Random(9)
    cells = {parent(cell_of(chance.uniform(-180, 180), chance.uniform(-90, 90)), 4) for _ in range(3_000)}
    cells |= {parent(cell_of(0.0, 90.0), 4), parent(cell_of(0.0, -90.0), 4), parent(cell_of(180.0, 0.0), 4)}
    ordered = np.array(sorted(cells))
    outlines = Outlines()
    corners = outlines.of(ordered, 4)
    again = outlines.of(ordered[::7], 4)
    assert (again.x == corners.x[:, ::7]).all() and (again.y == corners.y[:, ::7]).all()
    x, y, count, met = corners.on(Tile(0, 0, 0))
    assert met.all() and count.min() >= 4
    area = (x * np.roll(y, -1, axis=0) - np.roll(x, -1, axis=0) * y).sum(axis=0)
    assert (area > 0).all(), "a ring that goes the wrong way around is a hole"
    assert (x.max(axis=0) - x.min(axis=0)).max() < 200, "none goes around the world"


def test_a_span_holds_the_descendants_of_its_cell_alone() -> None:
    chance = random.Random(3)
    for _ in range(500):
        cell = cell_of(chance.uniform(-180, 180), chance.uniform(-90, 90))
        mine, other = parent(cell, 5), parent(cell_of(chance.uniform(-180, 180), chance.uniform(-90, 90)), 5)
        first, last = span_of(mine, FINEST)
        assert first <= cell <= last
        spans_of_other = span_of(other, FINEST)
        assert other == mine or last < spans_of_other[0] or spans_of_other[1] < first


def test_spans_of_a_small_box_are_few() -> None:
    found = spans_meeting(Box(2.3, 48.8, 2.4, 48.9), 8, 5)
    assert 1 <= len(found) < 20 and found == sorted(found)
