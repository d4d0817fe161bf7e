"""A sequence that several instances have is one: what its copies hold that nobody else has counts with it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson

from federation.database import Row


def whole(row: Row) -> Any:
    """The row of a sequence with numbers, dates and box of all its copies; the row itself where it is the only one."""
    if row["copies"] is None:
        return row
    said = dict(row)
    for pictures, bbox, first, last in orjson.loads(row["copies"]):
        said["pictures"] += pictures
        said["bbox"] = together(said["bbox"], bbox)
        said["datetime_min"] = _of(min, said["datetime_min"], first)
        said["datetime_max"] = _of(max, said["datetime_max"], last)
    return said


def _of(which: Any, known: datetime | None, text: str | None) -> datetime | None:
    """The first or last of two dates, one of them as the database writes it in JSON."""
    if text is None:
        return known
    other = datetime.fromisoformat(text)
    return other if known is None else which(known, other)


def together(one: Sequence[float] | None, other: Sequence[float] | None) -> list[float] | None:
    """The smallest box around two, [west, south, east, north]; west > east where it crosses the antimeridian.

    >>> together([2.0, 48.0, 3.0, 49.0], [2.5, 47.0, 4.0, 48.0])
    [2.0, 47.0, 4.0, 49.0]
    >>> together([179.0, 0.0, -179.0, 1.0], [178.0, 0.0, 178.5, 1.0])
    [178.0, 0.0, -179.0, 1.0]
    """
    if one is None or other is None:
        box = one if other is None else other
        return None if box is None else [float(each) for each in box]
    found = []
    for shift in (-360.0, 0.0, 360.0):
        west = min(one[0], other[0] + shift)
        east = max(_east(one), _east(other) + shift)
        found.append((east - west, west, east))
    width, west, east = min(found)
    south, north = float(min(one[1], other[1])), float(max(one[3], other[3]))
    if width >= 360:
        return [-180.0, south, 180.0, north]
    return [_turned(west), south, _turned(east), north]


def _east(box: Sequence[float]) -> float:
    """The eastern edge, east of the western one."""
    return box[2] if box[0] <= box[2] else box[2] + 360


def _turned(longitude: float) -> float:
    if longitude > 180:
        return longitude - 360
    return longitude + 360 if longitude < -180 else float(longitude)
