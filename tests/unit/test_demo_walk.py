"""Where the demonstration's pictures are: right distances everywhere, poles and the antimeridian included."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from panofed.demo.datasets import LYON, PARIS, shortened
from panofed.demo.pictures import slug
from panofed.demo.walk import EARTH_RADIUS_M, SECONDS_BETWEEN, SequenceSpec, Shot, shots, step_from, wrap_longitude

EVERYWHERE = (*PARIS, *LYON)


def metres(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (lat, lon), by the chord: exact for short ones."""
    (x1, y1, z1), (x2, y2, z2) = _unit(*a), _unit(*b)
    return 2 * EARTH_RADIUS_M * math.asin(min(1.0, math.dist((x1, y1, z1), (x2, y2, z2)) / 2))


def _unit(lat: float, lon: float) -> tuple[float, float, float]:
    phi, lam = math.radians(lat), math.radians(lon)
    return math.cos(phi) * math.cos(lam), math.cos(phi) * math.sin(lam), math.sin(phi)


def at(shot: Shot) -> tuple[float, float]:
    return shot.lat, shot.lon


@given(
    lat=st.floats(-90, 90), lon=st.floats(-180, 180), heading=st.floats(0, 360), distance=st.floats(1, 1_000_000)
)  # fmt: skip
def test_a_step_has_the_wanted_length_anywhere(lat: float, lon: float, heading: float, distance: float) -> None:
    there = step_from(lat, lon, heading, distance)
    assert metres((lat, lon), there[:2]) == pytest.approx(distance, abs=0.01, rel=1e-6)
    assert -90 <= there[0] <= 90 and -180 <= there[1] < 180 and 0 <= there[2] < 360


@given(lat=st.floats(-89, 89), lon=st.floats(-180, 180), heading=st.floats(0, 360), distance=st.floats(10, 10_000))
def test_turning_round_leads_back(lat: float, lon: float, heading: float, distance: float) -> None:
    there = step_from(lat, lon, heading, distance)
    back = step_from(there[0], there[1], there[2] + 180, distance)
    assert metres((lat, lon), back[:2]) < 0.01


@given(lon=st.floats(-100_000, 100_000))
def test_wrapped_longitudes_are_in_range(lon: float) -> None:
    assert -180 <= wrap_longitude(lon) < 180


@pytest.mark.parametrize("spec", EVERYWHERE, ids=lambda spec: slug(spec.title))
def test_an_instance_keeps_each_street_whole(spec: SequenceSpec) -> None:
    """Neighbours nearer than 1 m are refused as duplicates; farther than 100 m or 300 s they are split."""
    for a, b in pairwise(shots(spec)):
        assert 4 < metres(at(a), at(b)) < 20
        assert 0 < (b.taken - a.taken).total_seconds() < 2 * SECONDS_BETWEEN


def test_fiji_crosses_the_antimeridian_within_five_pictures() -> None:
    for spec in EVERYWHERE:
        if "Taveuni" in spec.title:
            sides = [math.copysign(1, shot.lon) for shot in shots(spec, count=5)]
            assert set(sides) == {1.0, -1.0}


@pytest.mark.parametrize("title", ["North pole", "South pole"])
def test_the_walk_goes_over_the_pole_and_turns_round(title: str) -> None:
    (spec,) = [spec for spec in EVERYWHERE if spec.title == title]
    first, *_, last = shots(spec, count=5)
    turned = abs(first.heading - last.heading)
    assert 150 < min(turned, 360 - turned) <= 180


def test_titles_give_different_files() -> None:
    assert len({slug(spec.title) for spec in EVERYWHERE}) == len(EVERYWHERE)


def test_both_instances_know_one_street_in_paris_and_one_in_lyon() -> None:
    for box in ((2.340, 48.857, 2.348, 48.861), (4.835, 45.765, 4.836, 45.768)):
        for dataset in (PARIS, LYON):
            inside = [
                shot
                for spec in dataset
                for shot in shots(spec)
                if box[0] <= shot.lon <= box[2] and box[1] <= shot.lat <= box[3]
            ]
            assert inside


def test_more_pictures_continue_the_street() -> None:
    (spec,) = shortened(PARIS[:1], 4)
    assert [shot.rank for shot in shots(spec, first=5, count=2)] == [5, 6]
    assert list(shots(spec)) + list(shots(spec, first=5, count=2)) == list(shots(spec, count=6))
