"""MapLibre styles and TileJSON documents: what map viewers read first."""

from __future__ import annotations

from typing import Any

from catalog_api.tiles.address import ZOOM_MAX
from catalog_api.tiles.content import GRID_ZOOM_MAX, SEQUENCES_ZOOM_MIN
from catalog_api.tiles.features import PICTURE_FIELDS, SEQUENCE_FIELDS
from catalog_api.tiles.grid import GRID_FIELDS, HEXAGON_FIELDS

Json = dict[str, Any]

#: The names viewers address: the source, and its layers after an underscore.
_SOURCE = "geovisio"
_LINE, _DOT, _OUTLINE = "#f56b00", "#f56b00", "#ffffff"
_FEW, _MANY, _MOST = "#ffc069", "#d9480f", "#5c1a06"


def style(base: str, title: str, user: str | None = None) -> Json:
    """The style of the v1 map, or of one contributor's. `base` is the API's address."""
    source = _SOURCE if user is None else f"{_SOURCE}_{user}"
    fields: Json = {"sequences": list(SEQUENCE_FIELDS), "pictures": list(PICTURE_FIELDS)}
    layers = [_sequences(source, fading=user is None), _pictures(source)]
    if user is None:
        fields["grid"] = list(GRID_FIELDS)
        layers.append(_grid(source))
    return {
        "version": 8,
        "name": title,
        "metadata": {"panoramax:fields": fields},
        "sources": {
            source: {"type": "vector", "tiles": [tiles_url(base, user)], "minzoom": 0, "maxzoom": ZOOM_MAX},
        },
        "layers": layers,
    }


def tiles_url(base: str, user: str | None = None) -> str:
    """Where tiles are, with places for zoom, column and row."""
    return f"{base}/map/{{z}}/{{x}}/{{y}}.mvt" if user is None else f"{base}/users/{user}/map/{{z}}/{{x}}/{{y}}.mvt"


def tilejson(base: str, title: str, *, hexagons: bool) -> Json:
    """TileJSON 3.0.0 of the v1 map or of the one with hexagons."""
    grid = (HEXAGON_FIELDS, 0, ZOOM_MAX) if hexagons else (GRID_FIELDS, 0, GRID_ZOOM_MAX)
    first = ZOOM_MAX if hexagons else SEQUENCES_ZOOM_MIN
    layers = {
        "grid": grid,
        "sequences": (SEQUENCE_FIELDS, first, ZOOM_MAX),
        "pictures": (PICTURE_FIELDS, ZOOM_MAX, ZOOM_MAX),
    }
    return {
        "tilejson": "3.0.0",
        "name": title,
        "tiles": [f"{base}/map/2/{{z}}/{{x}}/{{y}}.mvt" if hexagons else tiles_url(base)],
        "minzoom": 0,
        "maxzoom": ZOOM_MAX,
        "bounds": [-180, -85.05112877980659, 180, 85.05112877980659],
        "vector_layers": [
            {
                "id": name,
                "minzoom": least,
                "maxzoom": most,
                "fields": {field: _KINDS.get(field, "String") for field in fields},
            }
            for name, (fields, least, most) in layers.items()
        ],
    }


_KINDS = dict.fromkeys((*GRID_FIELDS[1:], "heading", "gps_accuracy", "h_pixel_density"), "Number")


def _by_zoom(*stops: object) -> list[object]:
    return ["interpolate", ["linear"], ["zoom"], *stops]


def _sequences(source: str, *, fading: bool) -> Json:
    return {
        "id": f"{source}_sequences",
        "type": "line",
        "source": source,
        "source-layer": "sequences",
        "layout": {"line-cap": "square"},
        "paint": {
            "line-color": _LINE,
            # the grid goes where the lines come
            "line-opacity": _by_zoom(6.25, 0, 7, 1) if fading else 1,
            "line-width": _by_zoom(0, 0.6, 9, 1.8, 13, 3.5, 16, 4.5, 20, 3),
        },
    }


def _pictures(source: str) -> Json:
    return {
        "id": f"{source}_pictures",
        "type": "circle",
        "source": source,
        "source-layer": "pictures",
        "paint": {
            "circle-color": _DOT,
            "circle-opacity": _by_zoom(15, 0, 16, 1),
            "circle-radius": _by_zoom(15, 4, 17, 7, 20, 10),
            "circle-stroke-color": _OUTLINE,
            "circle-stroke-width": _by_zoom(16.5, 0, 18, 1.5),
        },
    }


def _grid(source: str) -> Json:
    return {
        "id": f"{source}_grid",
        "type": "circle",
        "source": source,
        "source-layer": "grid",
        "maxzoom": GRID_ZOOM_MAX + 1,
        "layout": {"circle-sort-key": ["get", "coef"]},
        "paint": {
            "circle-color": ["interpolate", ["linear"], ["get", "coef"], 0, _FEW, 0.5, _MANY, 1, _MOST],
            "circle-opacity": _by_zoom(0, 0.7, 6.5, 0.9, 7, 0),
            # squares touch from zoom 5 on
            "circle-radius": _by_zoom(0, 1.5, 4, 2, 5, 2.5, 6, 4.5, 7, 8),
        },
    }
