"""Places: a cap holds what is near, and what is called proven is nearer than all that was not seen."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import shape

from catalog_api.edge.responses import BadRequest
from catalog_api.query.places import Place, cap_box, cap_strips, place_of_geometry
from catalog_api.query.tokens import read_token, write_token
from federation.cells import WORLD, Box

longitudes = st.floats(-180, 180)
latitudes = st.floats(-90, 90)
# the least distance the same angle can be on WGS 84: what is farther than that on this sphere is farther on Earth
RADIUS_M = 6_335_439.0


def angle(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Radians between two (longitude, latitude), by haversine."""
    (x1, y1), (x2, y2) = ((math.radians(x), math.radians(y)) for x, y in (one, other))
    h = math.sin((y2 - y1) / 2) ** 2 + math.cos(y1) * math.cos(y2) * math.sin((x2 - x1) / 2) ** 2
    return 2 * math.asin(min(1.0, math.sqrt(h)))


def holds(boxes: list[Box], longitude: float, latitude: float) -> bool:
    return any(b.west <= longitude <= b.east and b.south <= latitude <= b.north for b in boxes)


@given(longitudes, latitudes, longitudes, latitudes, st.floats(1.0, 1.5))
def test_a_cap_holds_every_point_within_its_distance(x: float, y: float, px: float, py: float, slack: float) -> None:
    distance_m = angle((x, y), (px, py)) * RADIUS_M * slack + 0.001
    assert holds(list(cap_box((x, y), distance_m).parts()), px, py)


@given(longitudes, latitudes, longitudes, latitudes, st.floats(1.0, 1.2))
def test_strips_hold_every_point_within_their_distance(x: float, y: float, px: float, py: float, slack: float) -> None:
    distance_m = angle((x, y), (px, py)) * RADIUS_M * slack + 0.001
    parts = [part for strip in cap_strips((x, y), distance_m) for part in strip.parts()]
    assert sum(holds([part], px, py) for part in parts) == 1 or (abs(px) == 180 and holds(parts, px, py))


@given(longitudes, latitudes, st.floats(-1e-3, 1e-3), st.floats(-1e-3, 1e-3))
def test_a_small_cap_holds_its_near_points(x: float, y: float, dx: float, dy: float) -> None:
    px, py = (x + dx + 180) % 360 - 180, max(-90.0, min(90.0, y + dy))
    distance_m = angle((x, y), (px, py)) * RADIUS_M + 0.001
    assert holds(list(cap_box((x, y), distance_m).parts()), px, py)


@given(longitudes, latitudes, st.floats(0.001, 2_000_000), longitudes, latitudes)
def test_what_lies_beyond_a_proven_reach_is_farther(
    x: float, y: float, distance_m: float, px: float, py: float
) -> None:
    place = Place(box=WORLD, centre=(x, y))
    plane_deg = math.hypot(px - x, py - y)
    if place.proves(distance_m, plane_deg):
        assert angle((x, y), (px, py)) * RADIUS_M >= distance_m * (1 - 1e-6)


@given(longitudes, latitudes, st.floats(0, 5_000_000))
def test_boxes_within_do_not_overlap(x: float, y: float, distance_m: float) -> None:
    boxes = Place(box=Box(150.0, -80.0, 100.0, 80.0), centre=(x, y)).within(distance_m)
    for index, one in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart = min(one.north, other.north) < max(one.south, other.south)
            assert apart or min(one.east, other.east) <= max(one.west, other.west)


def test_geometry_cut_at_the_antimeridian_gets_one_box() -> None:
    cut = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179, -1], [180, -1], [180, 1], [179, 1], [179, -1]]],
            [[[-180, -1], [-179, -1], [-179, 1], [-180, 1], [-180, -1]]],
        ],
    }
    place = place_of_geometry(shape(cut))
    assert (place.box.west, place.box.east) == (179, -179)
    assert abs(place.centre[0]) == 180


@given(st.floats(allow_nan=False, allow_infinity=False), st.uuids(), st.integers(-(2**31) + 1, 2**31 - 1))
def test_tokens_carry_positions_exactly(distance_m: float, identifier: uuid.UUID, rank: int) -> None:
    token = write_token("near", "r", distance_m, identifier, rank)
    kind, values = read_token(token, "r", near=(float, uuid.UUID, int))
    assert (kind, values) == ("near", (distance_m, str(identifier), rank))


@given(st.datetimes(timezones=st.just(UTC)))
def test_tokens_carry_times_exactly(when: datetime) -> None:
    assert read_token(write_token("t", "r", when.isoformat()), "r", t=(datetime,))[1] == (when,)


@given(st.text())
def test_any_other_text_is_refused_as_a_token(text: str) -> None:
    with pytest.raises(BadRequest):
        read_token(text, "r", near=(int,))
