"""A small map of where there are pictures, drawn from the counts: hexagons on an outline of land, as an SVG."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import orjson
import shapely
from starlette.requests import Request

from catalog_api.edge.responses import Answer
from catalog_api.index.index import Index
from catalog_api.index.stats_figures import cells_of_resolution
from catalog_api.state import catalog_of
from catalog_api.web.shelf import shelf_of
from federation.cells import Box, middle, outline, spans_meeting
from federation.queries import query

_SVG = b"image/svg+xml; charset=utf-8"
_CACHE = b"public, max-age=60"
#: The picture's own rules: it asks nobody, and its style is in it.
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'"
WIDTH, HEIGHT = 1000, 500
#: The resolution of hexagons for a map of so many degrees from west to east: the first that is not wider.
_RESOLUTIONS = ((1.0, 7), (3.0, 6), (8.0, 5), (20.0, 4), (math.inf, 3))
_COARSEST = 3
#: A map shows a town's surroundings at least, in degrees.
_LEAST_DEG = 0.4
_MARGIN = 0.1
#: How many pictures a hexagon of each class has at least.
CLASSES = (1, 100, 1_000, 10_000)

# the edge keeps a hexagon visible on a map of the world
_STYLE = """
.c0,.c1,.c2,.c3{stroke-width:1.6;stroke-linejoin:round}
.sea{fill:#dfe9f0}.land{fill:#f6f4ee;stroke:#c3ccd4;stroke-width:.7}
.border{fill:none;stroke:#c9c2b4;stroke-dasharray:4 3}
.c0{fill:#f7b267;stroke:#f7b267}.c1{fill:#f4845f;stroke:#f4845f}.c2{fill:#d1495b;stroke:#d1495b}.c3{fill:#8d1f56;stroke:#8d1f56}
@media (prefers-color-scheme:dark){.sea{fill:#10171f}.land{fill:#232b35;stroke:#3a4653}.border{stroke:#4a5666}
.c0{fill:#7a4a1d;stroke:#7a4a1d}.c1{fill:#b5651d;stroke:#b5651d}.c2{fill:#ee9b4a;stroke:#ee9b4a}.c3{fill:#ffe0a8;stroke:#ffe0a8}}
"""

Corner = tuple[float, float]


@dataclass(frozen=True, slots=True)
class View:
    """What the map shows: `west` to `east` may go beyond 180; a degree of longitude is `squeeze` of one of latitude."""

    west: float
    south: float
    east: float
    north: float

    @property
    def squeeze(self) -> float:
        """At the middle of the map, where shapes are right."""
        return max(0.2, math.cos(math.radians((self.south + self.north) / 2)))

    def at(self, longitude: float, latitude: float) -> Corner:
        """Where a place is drawn, in pixels."""
        scale = HEIGHT / (self.north - self.south)
        return (longitude - self.west) * self.squeeze * scale, (self.north - latitude) * scale


async def get_coverage(request: Request) -> Answer:
    """GET /coverage.svg: of all, or with `instance` of one."""
    catalog, name = catalog_of(request), request.query_params.get("instance", "")
    number = (await catalog.health.one(name)).row["n"] if name else None
    coarse = await _read(catalog.index, [cells_of_resolution(_COARSEST)], number)
    view = view_of([middle(cell) for cell, _ in coarse])
    resolution = next(each for widest, each in _RESOLUTIONS if view.east - view.west <= widest)
    found = coarse
    if resolution != _COARSEST:
        box = Box(max(-180.0, view.west), max(-90.0, view.south), min(180.0, view.east), min(90.0, view.north))
        found = await _read(catalog.index, spans_meeting(box, resolution, _COARSEST), number)
        view = view_of([middle(cell) for cell, _ in found])
    shelf = shelf_of(catalog.settings.viewer_dir)
    folder = catalog.settings.viewer_dir if "viewer/outline.json" in shelf.files else None
    body = await asyncio.to_thread(draw, view, found, folder)
    return Answer(body=body, media_type=_SVG, cache=_CACHE, headers=[(b"content-security-policy", _POLICY)])


async def _read(index: Index, spans: Sequence[tuple[int, int]], instance: int | None) -> list[tuple[int, int]]:
    """Cells and their pictures."""
    lows, highs = [low for low, _ in spans], [high for _, high in spans]
    rows = await index.fetch(query("catalog_covered"), lows, highs, instance)
    return [(row["cell"], row["pictures"]) for row in rows]


def view_of(places: Sequence[Corner]) -> View:
    """A map with all these places (latitude, longitude) on it, twice as wide as it is high; the world without any.

    >>> view_of([])
    View(west=-180.0, south=-90.0, east=180.0, north=90.0)
    >>> view = view_of([(48.0, 2.0), (49.0, 3.0)])
    >>> view.west < 2.0 < 3.0 < view.east, view.south < 48.0 < 49.0 < view.north
    (True, True)
    """
    if not places:
        return View(-180.0, -90.0, 180.0, 90.0)
    south, north = min(each[0] for each in places), max(each[0] for each in places)
    west, east = min(each[1] for each in places), max(each[1] for each in places)
    latitude, longitude = (south + north) / 2, (west + east) / 2
    squeeze = max(0.2, math.cos(math.radians(latitude)))
    high = max(north - south, (east - west) * squeeze * HEIGHT / WIDTH, _LEAST_DEG) * (1 + 2 * _MARGIN)
    wide = high * WIDTH / HEIGHT / squeeze
    if high >= 180 or wide >= 360:
        return View(-180.0, -90.0, 180.0, 90.0)
    middle_of = min(max(latitude, -90 + high / 2), 90 - high / 2)
    return View(longitude - wide / 2, middle_of - high / 2, longitude + wide / 2, middle_of + high / 2)


def draw(view: View, cells: Iterable[tuple[int, int]], folder: Path | None) -> bytes:
    """The picture; `folder` holds the outline of land, None: without it."""
    hexagons: dict[int, list[str]] = {}
    for cell, pictures in cells:
        kind = sum(pictures >= least for least in CLASSES) - 1
        hexagons.setdefault(kind, []).append(_path(view, _whole(outline(cell))))
    land = _path_of_land(view, folder) if folder else ""
    drawn = "".join(f'<path class="c{kind}" d="{"".join(paths)}"/>' for kind, paths in sorted(hexagons.items()))
    borders = _path_of_borders(view, folder) if folder else ""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">'
        f'<style>{_STYLE}</style><rect class="sea" width="{WIDTH}" height="{HEIGHT}"/>'
        f'<path class="land" d="{land}"/><path class="border" d="{borders}"/>{drawn}</svg>'
    ).encode()


def _whole(corners: Sequence[Corner]) -> list[Corner]:
    """(longitude, latitude) of a cell's corners, on one side of the antimeridian."""
    first = corners[0][1]
    return [((longitude - first + 540) % 360 - 180 + first, latitude) for latitude, longitude in corners]


def _path(view: View, corners: Iterable[Corner]) -> str:
    points = [view.at(*corner) for corner in corners]
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points) + "z"


@lru_cache(maxsize=64)
def _path_of_land(view: View, folder: Path) -> str:
    """Land as far as the map shows it, without what is finer than half a pixel."""
    fine = (view.north - view.south) / HEIGHT / 2
    shown = shapely.clip_by_rect(_shapes(folder, "land"), view.west, view.south, view.east, view.north)
    parts = shapely.get_parts(shapely.simplify(shown, fine))
    polygons = [part for part in parts if part.geom_type == "Polygon" and not part.is_empty]
    rings = [ring for part in polygons for ring in (part.exterior, *part.interiors)]
    return "".join(_path(view, ((x, y) for x, y, *_ in ring.coords[:-1])) for ring in rings)


@lru_cache(maxsize=64)
def _path_of_borders(view: View, folder: Path) -> str:
    """The borders of countries on the map."""
    fine = (view.north - view.south) / HEIGHT / 2
    shown = shapely.clip_by_rect(_shapes(folder, "border"), view.west, view.south, view.east, view.north)
    parts = shapely.get_parts(shapely.line_merge(shapely.simplify(shown, fine)))
    lines = [part for part in parts if part.geom_type == "LineString" and not part.is_empty]
    return "".join(_path(view, part.coords).removesuffix("z") for part in lines)


@lru_cache(maxsize=4)
def _shapes(folder: Path, kind: str) -> shapely.Geometry:
    """All shapes of a kind in the outline of the world."""
    features = orjson.loads((folder / "outline.json").read_bytes())["features"]
    found = [each["geometry"] for each in features if each["properties"].get("kind") == kind]
    return shapely.union_all([shapely.make_valid(shapely.geometry.shape(each)) for each in found])
