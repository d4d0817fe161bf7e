"""GeoJSON geometries as RFC 7946 has them, looked at before anything is made of them: shape, numbers, size."""

from __future__ import annotations

from typing import Any

from catalog_api.edge.responses import BadRequest

#: How deep the positions of each type stand in `coordinates`.
_DEPTHS = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
}  # fmt: skip
_COLLECTION = "GeometryCollection"
#: PostGIS reads no more than 200 collections within each other, and nobody means more than a few.
_NESTING_MAX = 8
#: Longitude and latitude, perhaps a height, perhaps a measure.
_POSITION = (2, 3)


def checked_geojson(parameter: str, value: object, vertices_max: int) -> dict[str, Any]:
    """The geometry itself if it is one and has no more vertices than allowed; BadRequest says what is wrong with it.

    A library that builds geometries takes texts for numbers, closes rings and reads features: another question than
    the one asked. It also takes half a second for a large polygon before it can be counted.

    >>> checked_geojson("intersects", {"type": "Point", "coordinates": [2, 48]}, 4)
    {'type': 'Point', 'coordinates': [2, 48]}
    >>> checked_geojson("intersects", {"type": "Point", "coordinates": ["1", 2]}, 4)
    Traceback (most recent call last):
    ...
    catalog_api.edge.responses.BadRequest: intersects: ["1",2] is not a position: two or three numbers
    """
    if not isinstance(value, dict):
        raise BadRequest(parameter, value, "is not a GeoJSON geometry")
    left, level = vertices_max, list[object]([value])
    for _ in range(_NESTING_MAX):
        inner: list[object] = []
        for geometry in level:
            try:
                left = _check(geometry, left, inner)
            except _Wrong as wrong:
                raise BadRequest(parameter, value, str(wrong)) from wrong
            if left < 0:
                raise BadRequest(parameter, value, f"has more than {vertices_max} vertices")
        if not inner:
            return value
        level = inner
    raise BadRequest(parameter, value, f"has collections nested more than {_NESTING_MAX} deep")


class _Wrong(Exception):
    """What is wrong."""


def _check(geometry: object, left: int, inner: list[object]) -> int:
    """How many vertices are left after this geometry; those within a collection are put into `inner`."""
    if not isinstance(geometry, dict):
        raise _Wrong("is not a GeoJSON geometry")
    kind = geometry.get("type")
    if kind == _COLLECTION:
        inner += _list(geometry.get("geometries"), "geometries")
        return left
    depth = _DEPTHS.get(kind) if isinstance(kind, str) else None
    if depth is None:
        raise _Wrong(f"is not a GeoJSON geometry: there is no type {_short(kind)}")
    level = [geometry.get("coordinates")]
    for _ in range(depth):
        level = [each for part in level for each in _list(part, "coordinates")]
        if len(level) > left:
            return -1
    for position in level:
        _check_position(position)
    if kind in ("Polygon", "MultiPolygon"):
        _check_rings(geometry["coordinates"] if kind == "MultiPolygon" else [geometry["coordinates"]])
    return left - len(level)


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise _Wrong(f"is not a GeoJSON geometry: {_short(value)} in {name} is not an array")
    if not value:
        raise _Wrong(f"is empty: an array in {name} has nothing in it")
    return value


def _check_position(position: object) -> None:
    # exactly these types: a boolean is an integer to Python
    is_one = isinstance(position, list) and len(position) in _POSITION
    if not is_one or not all(type(number) in (int, float) for number in position):  # type: ignore[attr-defined]
        raise _Wrong(f"{_short(position)} is not a position: two or three numbers")


def _check_rings(polygons: Any) -> None:
    for ring in (ring for polygon in polygons for ring in polygon):
        if len(ring) < 4 or ring[0] != ring[-1]:
            raise _Wrong(f"has a ring that is not closed: {_short(ring)}")


def _short(value: object) -> str:
    return BadRequest.shown(value)[:60]
