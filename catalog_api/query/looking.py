"""Pictures that look at a place: near enough, heading there, or looking everywhere."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_api.edge.responses import BadRequest
from catalog_api.query.params import Raw, coordinate, parts_of
from catalog_api.query.places import Place, cap_box
from catalog_api.query.predicates import Predicate
from federation.queries import query

#: Metres, as an instance has it: nearer ones look at nothing else, farther ones see little of it.
_NEAR_M, _FAR_M = 3.0, 15.0
#: What is farther is no picture of a place any more, and the search stays small.
_FARTHEST_M = 100.0
#: Degrees, as an instance has it.
_TOLERANCE, _TOLERANCE_MIN, _TOLERANCE_MAX = 30.0, 2.0, 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """At which place, from how far, how wide its middle is: half of `tolerance_deg` to either side of the heading."""

    longitude: float
    latitude: float
    near_m: float = _NEAR_M
    far_m: float = _FAR_M
    tolerance_deg: float = _TOLERANCE

    def place(self, ewkb: bytes | None) -> Place:
        """Where such pictures are; `ewkb` is a geometry they must be in as well."""
        centre = (self.longitude, self.latitude)
        return Place(box=cap_box(centre, self.far_m), centre=centre, ewkb=ewkb)

    def predicate(self) -> Predicate:
        """What such pictures meet."""
        marks = {
            "/* centre */": "ST_SetSRID(ST_MakePoint($1::float8, $2::float8), 4326)",
            "/* degrees */": "$3::float8",
            "/* near */": "$4::float8",
            "/* far */": "$5::float8",
        }
        sql = query("picture_looks")
        for mark, text in marks.items():
            sql = sql.replace(mark, text)
        return Predicate(sql, (self.longitude, self.latitude, self.tolerance_deg / 2, self.near_m, self.far_m))


def read_looking(raw: Raw) -> Looking | None:
    """place_position (lon,lat), place_distance (min-max metres), place_fov_tolerance (degrees).

    >>> read_looking({"place_position": "2.35,48.85", "place_distance": "5-20"})
    Looking(longitude=2.35, latitude=48.85, near_m=5.0, far_m=20.0, tolerance_deg=30.0)
    """
    value = raw.get("place_position")
    # looked at first: a wrong one is an error also where nothing makes use of it
    near_m, far_m = _distances(raw.get("place_distance"))
    tolerance = _tolerance(raw.get("place_fov_tolerance"))
    if value in (None, "", []):
        return None
    parts = parts_of(value)
    if not isinstance(parts, list) or len(parts) != 2:
        raise BadRequest("place_position", value, "is not longitude,latitude")
    longitude, latitude = (coordinate("place_position", value, part) for part in parts)
    if not (-180 <= longitude <= 180 and -90 <= latitude <= 90):
        raise BadRequest("place_position", value, "is outside -180..180, -90..90")
    return Looking(longitude=longitude, latitude=latitude, near_m=near_m, far_m=far_m, tolerance_deg=tolerance)


def _distances(value: object) -> tuple[float, float]:
    if value in (None, "", []):
        return _NEAR_M, _FAR_M
    parts = value.split("-") if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) != 2:
        raise BadRequest("place_distance", value, "is not min-max in metres")
    near_m, far_m = (coordinate("place_distance", value, part) for part in parts)
    if not 0 <= near_m <= far_m <= _FARTHEST_M:
        raise BadRequest("place_distance", value, f"is not min-max in metres, from 0 to {_FARTHEST_M:.0f}")
    return near_m, far_m


def _tolerance(value: object) -> float:
    if value in (None, ""):
        return _TOLERANCE
    tolerance = coordinate("place_fov_tolerance", value, value)
    if not _TOLERANCE_MIN <= tolerance <= _TOLERANCE_MAX:
        problem = f"is outside {_TOLERANCE_MIN:.0f}..{_TOLERANCE_MAX:.0f} degrees"
        raise BadRequest("place_fov_tolerance", value, problem)
    return tolerance
