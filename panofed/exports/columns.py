"""The columns of the export: fixed, so that every file has the same; what has no column of its own is kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import rustac
from arro3.core import Array, ChunkedArray, DataType, Field, RecordBatch, Schema, Table

Json = dict[str, Any]

_TEXT, _WHOLE, _NUMBER = "x", 1, 0.5
_LINK = {"rel": _TEXT, "href": _TEXT, "type": _TEXT, "title": _TEXT, "instance_name": _TEXT}
#: Ways through the API, which the columns `collection` and `geovisio:rank_in_collection` say shorter.
_NAVIGATION = frozenset({"root", "parent", "collection", "prev", "next"})
_ASSET = {"href": _TEXT, "type": _TEXT, "title": _TEXT, "description": _TEXT, "roles": [_TEXT]}
_CAMERA = {
    "camera_manufacturer": _TEXT,
    "camera_model": _TEXT,
    "focal_length": _NUMBER,
    "field_of_view": _NUMBER,
    "sensor_array_dimensions": [_WHOLE],
}
_TIMES = ("datetime", "created", "updated")
#: Members that have another shape in every item: a struct of all their keys would have thousands of columns.
_AS_JSON = ("exif", "annotations", "tiles:tile_matrix_sets")
_PROPERTIES = {
    "datetimetz": _TEXT,
    "license": _TEXT,
    "providers": [{"name": _TEXT, "roles": [_TEXT], "id": _TEXT, "url": _TEXT, "description": _TEXT}],
    "panofed:instance": _TEXT,
    "view:azimuth": _WHOLE,
    "pers:pitch": _NUMBER,
    "pers:roll": _NUMBER,
    "pers:yaw": _NUMBER,
    "pers:interior_orientation": _CAMERA,
    "panoramax:horizontal_pixel_density": _NUMBER,
    "quality:horizontal_accuracy": _NUMBER,
    "geovisio:status": _TEXT,
    "geovisio:visibility": _TEXT,
    "geovisio:producer": _TEXT,
    "geovisio:rank_in_collection": _WHOLE,
    "geovisio:image": _TEXT,
    "geovisio:thumbnail": _TEXT,
    "original_file:size": _WHOLE,
    "original_file:name": _TEXT,
    "semantics": [{"key": _TEXT, "value": _TEXT}],
    "panofed:derived": [_TEXT],
    "panofed:more": _TEXT,
    **dict.fromkeys(_AS_JSON, _TEXT),
}
_TOP = {
    "type": "Feature",
    "stac_version": "1.0.0",
    "stac_extensions": [_TEXT],
    "id": _TEXT,
    "collection": _TEXT,
    "geometry": {"type": "Point", "coordinates": [_NUMBER, _NUMBER]},
    "bbox": [_NUMBER] * 4,
    "assets": dict.fromkeys(("hd", "sd", "thumb"), _ASSET),
    "links": [_LINK],
}
#: An item with a value in every column: what is inferred from the others depends on what they happen to hold.
_SAMPLE = _TOP | {"properties": _PROPERTIES | dict.fromkeys(_TIMES, "2024-01-01T00:00:00Z")}
COLUMNS = (*_TOP, *_TIMES, *_PROPERTIES)
_MICROSECONDS = DataType.timestamp("us", tz="UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING: Any = object()

#: GeoParquet 1.1: WKB points in longitude and latitude (no `crs` means OGC:CRS84), with each row's box to filter by.
METADATA = {
    "geo": orjson.dumps(
        {
            "version": "1.1.0",
            "primary_column": "geometry",
            "columns": {
                "geometry": {
                    "encoding": "WKB",
                    "geometry_types": ["Point"],
                    "covering": {"bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}},
                }
            },
        }
    ).decode(),
    "stac-geoparquet": '{"version":"1.0.0"}',
}


def fit(value: Any, sample: Any) -> tuple[Any, Any]:
    """(the part of a value that has the sample's shape, the part that has not); `_NOTHING` where there is none.

    >>> fit({"a": 1, "b": [2.5, "x"], "c": None}, {"a": 0.5, "b": [0.5]})
    ({'a': 1.0, 'b': [2.5]}, {'b': [2.5, 'x'], 'c': None})
    """
    if value is None:
        return _NOTHING, _NOTHING
    if isinstance(sample, dict):
        return _fit_object(value, sample) if isinstance(value, dict) else (_NOTHING, value)
    if isinstance(sample, list):
        return _fit_list(value, sample[0]) if isinstance(value, list) else (_NOTHING, value)
    if isinstance(sample, float):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return (float(value), _NOTHING) if number else (_NOTHING, value)
    same = type(value) is type(sample) and not (isinstance(value, int) and abs(value) >= 2**63)
    return (value, _NOTHING) if same else (_NOTHING, value)


def _fit_object(value: Json, sample: Json) -> tuple[Any, Any]:
    fitting, rest = {}, {}
    for key, inner in value.items():
        fits, left = fit(inner, sample[key]) if key in sample else (_NOTHING, inner)
        if fits is not _NOTHING:
            fitting[key] = fits
        if left is not _NOTHING:
            rest[key] = left
    return fitting, rest or _NOTHING


def _fit_list(value: list[Any], sample: Any) -> tuple[list[Any], Any]:
    """A list that does not fit in every part is in the rest as a whole: parts of it would have lost their place."""
    parts = [fit(each, sample) for each in value]
    whole = all(left is _NOTHING and fits is not _NOTHING for fits, left in parts)
    return [fits for fits, _ in parts if fits is not _NOTHING], _NOTHING if whole else value


def prepare(item: Json, instance: str) -> Json:
    """An item whose properties are the columns. Who provided it moves into the properties, or it would be lost."""
    properties = dict(item.get("properties") or {})
    for name in _TIMES:
        # these come from the index, to the microsecond
        properties.pop(name, None)
    properties |= {name: orjson.dumps(properties[name]).decode() for name in _AS_JSON if name in properties}
    properties["panofed:instance"] = instance
    if "providers" in item:
        properties["providers"] = item["providers"]
    top = {name: value for name, value in item.items() if name not in ("properties", "providers")}
    top["links"] = [link for link in item["links"] if link.get("rel") not in _NAVIGATION]
    fitting, rest = fit(top | {"properties": properties}, _TOP | {"properties": _PROPERTIES})
    if rest is not _NOTHING:
        fitting["properties"]["panofed:more"] = orjson.dumps(rest).decode()
    return dict(fitting)


def table_of(items: Sequence[Json], times: Mapping[str, Sequence[datetime | None]]) -> Table:
    """Prepared items as a table with the fixed columns; `times` are those of each item."""
    table = rustac.to_arrow([_SAMPLE, *items]).select(COLUMNS).slice(1)
    for name in _TIMES:
        # rustac keeps milliseconds: two pictures of one second could change places
        column = Array([_microseconds(each) for each in times[name]], type=DataType.int64()).cast(_MICROSECONDS)
        table = table.set_column(COLUMNS.index(name), Field(name, _MICROSECONDS, nullable=True), ChunkedArray([column]))
    return table


def batches_of(items: Sequence[Json], times: Mapping[str, Sequence[datetime | None]]) -> list[RecordBatch]:
    """The same as record batches."""
    return table_of(items, times).to_batches()


def schema() -> Schema:
    """What every file has."""
    return table_of([_SAMPLE], {name: [None] for name in _TIMES}).schema


def _microseconds(when: datetime | None) -> int | None:
    return None if when is None else (when - _EPOCH) // timedelta(microseconds=1)
