"""Places: a search's box or geometry as boxes without antimeridian, its centre, what may lie near that."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import shapely
from shapely import affinity
from shapely.geometry.base import BaseGeometry

from federation.cells import Box

#: No geodesic is shorter than the same angle on a sphere of this radius: the smallest radius of curvature of WGS 84, at
#: the equator along the meridian.
RADIUS_MIN_M = 6_335_439.0
#: From here on the shape of what lies within a distance is followed more closely.
FAR_M = 200_000.0
_STRIPS = 48
#: Against rounding in the last digits.
_MARGIN = 1 + 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a search looks. `centre` is (longitude, latitude); `ewkb` is the geometry to meet, None for a box."""

    box: Box
    centre: tuple[float, float]
    ewkb: bytes | None = None

    def within(self, distance_m: float) -> list[Box]:
        """Boxes, none overlapping another, that hold every point of the place at most this far from its centre."""
        strips = cap_strips(self.centre, distance_m) if distance_m > FAR_M else [cap_box(self.centre, distance_m)]
        parts = [part for strip in strips for part in strip.parts()]
        meets = (_intersection(mine, theirs) for mine in self.box.parts() for theirs in parts)
        return [box for box in meets if box is not None]

    def proves(self, distance_m: float, reach_deg: float) -> bool:
        """Whether a point of the place at least `reach_deg` away in plane degrees is surely farther than `distance_m`.

        The way to a point within the cap stays in the cap, so each of its metres is at most 1 / cos(its highest
        latitude) in plane degrees; and the place must be seen unwrapped from its centre.
        """
        longitude, latitude = self.centre
        angle = distance_m / RADIUS_MIN_M * _MARGIN
        highest = math.radians(abs(latitude)) + angle
        if self.box.crosses or highest >= math.pi / 2:
            return False
        plane_deg = math.degrees(angle) / math.cos(highest)
        # strictly: pictures at one and the same place are told apart by id only
        return plane_deg < reach_deg and abs(longitude) + plane_deg < 180


def ewkb_of_box(box: Box) -> bytes:
    """A box as a geometry for PostGIS: two of them where it crosses the antimeridian."""
    shapes = [shapely.box(each.west, each.south, each.east, each.north) for each in box.parts()]
    shape = shapes[0] if len(shapes) == 1 else shapely.MultiPolygon(shapes)
    return bytes(shapely.to_wkb(shapely.set_srid(shape, 4326), include_srid=True))


def place_of_box(box: Box) -> Place:
    """A bbox as a place."""
    return Place(box=box, centre=box.centre())


def place_of_geometry(geometry: BaseGeometry) -> Place:
    """A GeoJSON geometry as a place. One that was cut at the antimeridian is put together for its box and centre."""
    west, south, east, north = geometry.bounds
    whole = geometry
    if east - west > 180 and hasattr(geometry, "geoms"):
        shifted = shapely.GeometryCollection([_eastwards(part) for part in geometry.geoms])
        if shifted.bounds[2] - shifted.bounds[0] < east - west:
            whole = shifted
            west, _, east, _ = whole.bounds
    centroid = whole.centroid
    longitude = centroid.x if centroid.x <= 180 else centroid.x - 360
    return Place(
        box=Box(west, south, east if east <= 180 else east - 360, north),
        centre=(longitude, centroid.y),
        ewkb=bytes(shapely.to_wkb(shapely.set_srid(geometry, 4326), include_srid=True)),
    )


def _eastwards(part: BaseGeometry) -> BaseGeometry:
    return affinity.translate(part, xoff=360) if part.bounds[2] <= 0 else part


def cap_box(centre: tuple[float, float], distance_m: float) -> Box:
    """The box of everything at most this far from a point, on the ellipsoid; it may cross the antimeridian."""
    longitude, latitude = centre
    angle = distance_m / RADIUS_MIN_M * _MARGIN + 1e-12
    reach_deg = math.degrees(angle)
    south, north = latitude - reach_deg, latitude + reach_deg
    if south <= -90 or north >= 90:
        return Box(-180.0, max(south, -90.0), 180.0, min(north, 90.0))
    width_deg = math.degrees(math.asin(min(1.0, math.sin(angle) / math.cos(math.radians(latitude))))) * _MARGIN + 1e-12
    if width_deg >= 180:
        return Box(-180.0, south, 180.0, north)
    west, east = longitude - width_deg, longitude + width_deg
    return Box(west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north)


def cap_strips(centre: tuple[float, float], distance_m: float) -> list[Box]:
    """The same in strips of latitude, each as wide as the cap is there: a far cap's one box would hold a continent."""
    whole = cap_box(centre, distance_m)
    edges = [whole.south + (whole.north - whole.south) * number / _STRIPS for number in range(_STRIPS)] + [whole.north]
    strips = []
    for south, north in itertools.pairwise(edges):
        width_deg = _half_width_deg(centre[1], distance_m, south, north)
        if width_deg >= 180:
            strips.append(Box(-180.0, south, 180.0, north))
        elif width_deg >= 0:
            west, east = centre[0] - width_deg, centre[0] + width_deg
            strips.append(Box(west + 360 if west < -180 else west, south, east - 360 if east > 180 else east, north))
    # the edge belongs to the lower one
    return [
        Box(s.west, math.nextafter(s.south, 91.0) if s.south != whole.south else s.south, s.east, s.north)
        for s in strips
    ]


def _half_width_deg(latitude: float, distance_m: float, south: float, north: float) -> float:
    """How far in longitude a cap reaches between two latitudes; below 0 where it does not."""
    angle, middle = distance_m / RADIUS_MIN_M * _MARGIN + 1e-12, math.radians(latitude)
    if angle >= math.pi / 2:
        return 180.0
    # the cap is widest where a meridian touches it
    widest = math.asin(max(-1.0, min(1.0, math.sin(middle) / math.cos(angle))))
    at = max(math.radians(south), min(math.radians(north), widest))
    below = math.cos(middle) * math.cos(at)
    if below < 1e-9:
        return 180.0
    cosine = (math.cos(angle) - math.sin(middle) * math.sin(at)) / below - 1e-9
    if cosine > 1:
        return -1.0
    return 180.0 if cosine <= -1 else math.degrees(math.acos(cosine)) * _MARGIN + 1e-6


def _intersection(one: Box, other: Box) -> Box | None:
    west, south = max(one.west, other.west), max(one.south, other.south)
    east, north = min(one.east, other.east), min(one.north, other.north)
    return Box(west, south, east, north) if west <= east and south <= north else None
