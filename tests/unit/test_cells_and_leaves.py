"""Cells and leaves: a point is inside the box of every ancestor, and no leaf that may hold it is ever left out."""

from __future__ import annotations

from functools import cache

import h3.api.basic_int as h3
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from federation.cells import (
    WORLD,
    Box,
    cell_box,
    cell_of,
    children,
    lattice_box,
    lattice_of,
    parent,
    resolution_of,
)
from federation.leaves import LeafSet

#: Everywhere, and more often where it is difficult: poles, antimeridian, lattice lines.
longitudes = st.one_of(
    st.floats(-180, 180), st.floats(179.9, 180), st.floats(-180, -179.9), st.sampled_from([-180.0, 180.0, 0.0, -0.0])
)
latitudes = st.one_of(
    st.floats(-90, 90), st.floats(89.9, 90), st.floats(-90, -89.9), st.sampled_from([-90.0, 90.0, 0.0, -0.0])
)
cell_box = cache(cell_box)


def is_in(box: Box, longitude: float, latitude: float) -> bool:
    inside = any(part.west <= longitude <= part.east for part in box.parts())
    return inside and box.south <= latitude <= box.north


@settings(max_examples=400)
@given(longitudes, latitudes)
@example(180.0, -16.8)
@example(-180.0, 90.0)
@example(0.0, -90.0)
def test_a_point_is_in_the_box_of_every_ancestor(longitude: float, latitude: float) -> None:
    finest = cell_of(longitude, latitude)
    for resolution in range(12):
        box = cell_box(parent(finest, resolution))
        assert is_in(box, longitude, latitude), (resolution, box)


@settings(max_examples=200)
@given(longitudes, latitudes, st.integers(0, 11))
def test_an_ancestor_by_bits_is_the_one_of_h3(longitude: float, latitude: float, resolution: int) -> None:
    finest = cell_of(longitude, latitude)
    assert parent(finest, resolution) == h3.cell_to_parent(finest, resolution)
    assert resolution_of(parent(finest, resolution)) == resolution
    assert parent(finest, resolution) < 2**63


@pytest.mark.parametrize("cell", sorted(h3.get_res0_cells()), ids=lambda cell: format(cell, "x"))
def test_the_boxes_of_children_lie_in_what_the_parent_box_and_its_neighbours_cover(cell: int) -> None:
    """Not nested exactly, but each child's middle is in the parent's box."""
    for child in children(cell):
        assert parent(child, 0) == cell
        latitude, longitude = h3.cell_to_latlng(child)
        assert is_in(cell_box(cell), longitude, latitude)


@settings(max_examples=300)
@given(longitudes, latitudes)
def test_a_point_is_in_its_lattice_square(longitude: float, latitude: float) -> None:
    number = lattice_of(longitude, latitude)
    assert 0 <= number < 1800 * 3600
    box = lattice_box(number)
    assert box.west - 1e-9 <= longitude <= box.east + 1e-9
    assert box.south - 1e-9 <= latitude <= box.north + 1e-9


def leaf_set(states: dict[int, str]) -> LeafSet:
    ordered = dict(sorted(states.items()))
    return LeafSet.make(1, ordered, map(cell_box, ordered), base_resolution=0)


def split(states: dict[int, str], cell: int, *, finished: bool) -> None:
    if finished:
        del states[cell]
    else:
        states[cell] = "splitting"
    states |= dict.fromkeys(children(cell), "live")


@cache
def world_of_leaves() -> LeafSet:
    """All base cells; some were split, some are being split, twice at one place."""
    states = dict.fromkeys(h3.get_res0_cells(), "live")
    paris, fiji, pole = cell_of(2.35, 48.85), cell_of(179.999, -16.8), cell_of(0.0, 90.0)
    for finest in (paris, fiji, pole):
        split(states, parent(finest, 0), finished=True)
        split(states, parent(finest, 1), finished=finest != paris)
    split(states, parent(cell_of(-70.0, -33.0), 0), finished=False)
    return leaf_set(states)


boxes = st.tuples(longitudes, latitudes, st.floats(0, 30), st.floats(0, 30))


@settings(max_examples=400)
@given(longitudes, latitudes, boxes)
@example(180.0, -16.8, (179.9, -17.0, 0.2, 1.0))
def test_covering_never_leaves_out_the_leaf_of_a_point_in_the_box(
    longitude: float, latitude: float, around: tuple[float, float, float, float]
) -> None:
    leaves = world_of_leaves()
    west, south, width, height = around
    east = west + width
    box = Box(west, south, east - 360 if east > 180 else east, min(90.0, south + height))
    leaf = leaves.leaf_of(cell_of(longitude, latitude))
    assert leaf is not None
    assert leaves.states[leaf] == "live"
    for tested in (Box(longitude, latitude, longitude, latitude), WORLD):
        assert leaf in leaves.covering(tested)
    if is_in(box, longitude, latitude):
        assert leaf in leaves.covering(box)


@settings(max_examples=200)
@given(longitudes, latitudes)
def test_what_a_leaf_held_is_found_in_what_stands_for_it(longitude: float, latitude: float) -> None:
    leaves, finest = world_of_leaves(), cell_of(longitude, latitude)
    now = leaves.leaf_of(finest)
    for resolution in range(resolution_of(now or 0) + 1):
        former = parent(finest, resolution)
        standing = leaves.standing_for([former])
        assert now in standing
        assert all(leaf == former or parent(leaf, resolution) == former for leaf in standing)
        if leaves.states.get(former) == "splitting":
            assert former in standing


def test_an_empty_set_covers_nothing_and_knows_no_leaf() -> None:
    empty = leaf_set({})
    assert empty.covering(WORLD) == []
    assert empty.leaf_of(cell_of(0.0, 0.0)) is None
    assert empty.standing_for([parent(cell_of(0.0, 0.0), 3)]) == []


def test_a_point_between_a_leaf_and_its_children_that_are_not_there_has_no_leaf() -> None:
    finest = cell_of(2.35, 48.85)
    assert leaf_set({parent(finest, 0): "splitting"}).leaf_of(finest) is None


@pytest.mark.parametrize("longitude,latitude", [(180.0, -16.8), (2.35, 48.85), (-179.999, 65.0), (25.0, -80.0)])
def test_a_box_is_not_much_larger_than_its_leaf(longitude: float, latitude: float) -> None:
    """Not round the world, not even across the antimeridian: or every query would touch it."""
    for resolution in range(2, 8):
        box = cell_box(parent(cell_of(longitude, latitude), resolution))
        assert (box.east - box.west) % 360 < 60
