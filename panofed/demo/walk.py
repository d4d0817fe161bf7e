"""Where, when and which way each generated picture of a sequence was taken: great-circle steps, right at poles too."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EARTH_RADIUS_M = 6_371_008.8
SECONDS_BETWEEN = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """What took the pictures; `panoramic` ones are full equirectangular panoramas."""

    make: str
    model: str
    panoramic: bool = False
    focal_mm: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceSpec:
    """One walk or drive along a street, and the camera that saw it."""

    title: str
    lat: float
    lon: float
    heading: float
    camera: Camera
    #: first instant, UTC
    start: datetime
    #: local time minus UTC, as the camera wrote it
    offset_min: int = 0
    pictures: int = 24
    step_m: float = 8.0
    #: degrees the street bends between two pictures
    bend: float = 0.0
    #: what is drawn: "street", "sea" or "ice"
    scene: str = "street"
    artist: str = ""
    #: False: the pictures say nothing about where the camera looked
    with_heading: bool = True
    accuracy_m: float = 4.0
    #: who uploads; "" = anonymously, so the instance's default account
    account: str = ""
    #: semantic tags of single pictures: (rank, key, value)
    tags: tuple[tuple[int, str, str], ...] = ()
    #: ranks of the pictures that only their owner may see
    hidden: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One picture to be made: position in degrees, heading in degrees from north, `rank` from 1."""

    rank: int
    lat: float
    lon: float
    heading: float
    taken: datetime


def wrap_longitude(lon: float) -> float:
    """Bring a longitude into -180..180.

    >>> wrap_longitude(180.5), wrap_longitude(-181.0), wrap_longitude(12.0)
    (-179.5, 179.0, 12.0)
    """
    return (lon + 180.0) % 360.0 - 180.0


def step_from(lat: float, lon: float, heading: float, distance_m: float) -> tuple[float, float, float]:
    """One great-circle step: the new latitude, longitude and the heading there, degrees.

    Going straight over a pole turns the heading by 180 degrees.

    >>> tuple(round(value, 4) for value in step_from(0.0, 179.9999, 90.0, 111.2))
    (0.0, -179.9991, 90.0)
    >>> tuple(round(value, 3) for value in step_from(89.9999, 10.0, 0.0, 22.239))
    (90.0, -170.0, 180.0)
    """
    angle, course, phi = distance_m / EARTH_RADIUS_M, math.radians(heading), math.radians(lat)
    phi_there = math.asin(math.sin(phi) * math.cos(angle) + math.cos(phi) * math.sin(angle) * math.cos(course))
    turn = math.atan2(
        math.sin(course) * math.sin(angle) * math.cos(phi), math.cos(angle) - math.sin(phi) * math.sin(phi_there)
    )
    # the course on arrival is the reverse of the course back
    back = math.atan2(
        math.sin(-turn) * math.cos(phi),
        math.cos(phi_there) * math.sin(phi) - math.sin(phi_there) * math.cos(phi) * math.cos(turn),
    )
    return math.degrees(phi_there), wrap_longitude(lon + math.degrees(turn)), (math.degrees(back) + 180.0) % 360.0


def shots(spec: SequenceSpec, first: int = 1, count: int | None = None) -> Iterator[Shot]:
    """The pictures of a sequence from rank `first` on; the same on every machine and run.

    A rank beyond `spec.pictures` continues the street: that is how pictures are added later.
    """
    last = spec.pictures if count is None else first + count - 1
    lat, lon, heading = spec.lat, spec.lon, spec.heading
    for rank in range(1, last + 1):
        if rank >= first:
            yield Shot(rank=rank, lat=lat, lon=lon, heading=heading % 360.0, taken=_taken(spec, rank))
        lat, lon, heading = step_from(lat, lon, heading, spec.step_m)
        heading += spec.bend


def _taken(spec: SequenceSpec, rank: int) -> datetime:
    # a fraction that differs from picture to picture, and is 0 for the first: both forms of a time get published
    fraction = timedelta(milliseconds=(rank - 1) * 137 % 1_000)
    return spec.start.astimezone(UTC) + timedelta(seconds=SECONDS_BETWEEN * (rank - 1)) + fraction
