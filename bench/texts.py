"""Columns of numbers as the texts of an item: ISO times, EXIF dates and rationals, maker notes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.pictures import ARC_UNITS, Integers, SequencePictures
from bench.plan import SequencePlan

SUMMER_MONTHS = range(4, 11)
DECIMAL = tuple(str(octet) for octet in range(256))


def iso_text(microseconds: int) -> str:
    """A UTC time as the instance writes it: no fraction when it is zero.

    >>> iso_text(1_700_000_000_000_000), iso_text(1_700_000_000_250_000)
    ('2023-11-14T22:13:20+00:00', '2023-11-14T22:13:20.250000+00:00')
    """
    text = str(np.datetime_as_string(np.datetime64(microseconds, "us")))
    return (text[:19] if microseconds % 1_000_000 == 0 else text) + "+00:00"


def iso_texts(microseconds: Integers, offset: str = "+00:00") -> list[str]:
    """Many times as text, each with this offset appended."""
    texts: list[str] = np.datetime_as_string(microseconds.astype("datetime64[us]")).tolist()
    return [(text[:19] if text.endswith(".000000") else text) + offset for text in texts]


def utc_offset_s(plan: SequencePlan) -> int:
    """Seconds between local and UTC time where and when the sequence was taken."""
    month = int(str(np.datetime64(plan.start_ms, "ms"))[5:7])
    summer = plan.town.summer_time and month in SUMMER_MONTHS
    return 3600 * (plan.town.utc_offset_h + int(summer))


def offset_text(seconds: int) -> str:
    """An offset as EXIF writes it.

    >>> offset_text(7200), offset_text(-18000)
    ('+02:00', '-05:00')
    """
    return f"{'-' if seconds < 0 else '+'}{abs(seconds) // 3600:02d}:{abs(seconds) % 3600 // 60:02d}"


def arc_texts(units: Integers) -> list[str]:
    """Degrees, minutes and seconds as three rationals, sign dropped.

    >>> arc_texts(np.array([17595503492]))
    ['48/1 52/1 3503492/100000']
    """
    degrees, rest = np.divmod(np.abs(units), ARC_UNITS)
    minutes, seconds = np.divmod(rest, ARC_UNITS // 60)
    return [
        f"{degree}/1 {minute}/1 {second}/100000"
        for degree, minute, second in zip(degrees.tolist(), minutes.tolist(), seconds.tolist(), strict=True)
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureTexts:
    """The texts that differ from picture to picture, in rank order."""

    taken: list[str]
    taken_local: list[str]
    created: list[str]
    latitude: list[str]
    longitude: list[str]
    maker_notes: list[str]
    shutter: list[int]
    day: list[str]
    sub_second: list[str]
    points: list[str]
    offset: str


def texts_of(pictures: SequencePictures) -> PictureTexts:
    """Write out the columns of a sequence."""
    seconds = utc_offset_s(pictures.plan)
    offset = offset_text(seconds)
    notes = pictures.maker_notes.tobytes()
    length = pictures.maker_notes.shape[1]
    decimal = DECIMAL.__getitem__
    local = iso_texts((pictures.taken_ms + seconds * 1000) * 1000, offset)
    milliseconds = (pictures.taken_ms % 1000).tolist()
    return PictureTexts(
        taken=iso_texts(pictures.taken_ms * 1000),
        taken_local=local,
        day=[f"{text[:4]}:{text[5:7]}:{text[8:10]} {text[11:19]}" for text in local],
        sub_second=[f',"Exif.Photo.SubSecTimeOriginal":"{part:03d}"' for part in milliseconds]
        if pictures.plan.camera.sub_second
        else [""] * len(local),
        points=[f"{lon},{lat}" for lon, lat in zip(pictures.lon.tolist(), pictures.lat.tolist(), strict=True)],
        created=iso_texts(pictures.created_us),
        latitude=arc_texts(pictures.lat_units),
        longitude=arc_texts(pictures.lon_units),
        maker_notes=[" ".join(map(decimal, notes[i : i + length])) for i in range(0, len(notes), length)],
        shutter=np.rint(np.log2(pictures.exposure) * 1000).astype(np.int64).tolist(),
        offset=offset,
    )
