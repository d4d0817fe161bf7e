"""The metadata written into a generated picture: EXIF tags as plain numbers and text, and the XMP of a panorama."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from panofed.demo.walk import SequenceSpec, Shot

#: (numerator, denominator)
Rational: TypeAlias = tuple[int, int]
TagValue: TypeAlias = "str | int | Rational | list[Rational]"

# tag numbers of the EXIF 2.32 standard
MAKE, MODEL, SOFTWARE, ARTIST = 0x010F, 0x0110, 0x0131, 0x013B
EXPOSURE_TIME, F_NUMBER, ISO, EXIF_VERSION = 0x829A, 0x829D, 0x8827, 0x9000
DATE_ORIGINAL, OFFSET_ORIGINAL, SUBSEC_ORIGINAL = 0x9003, 0x9011, 0x9291
FOCAL_LENGTH, WHITE_BALANCE, SERIAL_NUMBER, LENS_MODEL = 0x920A, 0xA403, 0xA431, 0xA434
LAT_REF, LAT, LON_REF, LON, ALTITUDE_REF, ALTITUDE, GPS_TIME = 1, 2, 3, 4, 5, 6, 7
DIRECTION_REF, DIRECTION, GPS_DATE, POSITIONING_ERROR = 16, 17, 29, 31

XMP = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"
    GPano:UsePanoramaViewer="True" GPano:ProjectionType="equirectangular"
    GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}"
    GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}"
    GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"
    GPano:PoseHeadingDegrees="{heading:.1f}" GPano:PosePitchDegrees="{pitch:.1f}" GPano:PoseRollDegrees="{roll:.1f}"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""


def rational(value: float, denominator: int = 100) -> Rational:
    """A number as EXIF stores it.

    >>> rational(2.8, 10), rational(0.5)
    ((28, 10), (50, 100))
    """
    return round(value * denominator), denominator


def degrees_minutes_seconds(degrees: float) -> list[Rational]:
    """The size of an angle as three rationals; seconds to 1e-5, which is 0.3 mm on the ground.

    Rounding never makes 60 seconds or 60 minutes.

    >>> degrees_minutes_seconds(-48.853611111)
    [(48, 1), (51, 1), (1300000, 100000)]
    >>> degrees_minutes_seconds(17.99999999999)
    [(18, 1), (0, 1), (0, 100000)]
    """
    total = round(abs(degrees) * 3_600 * 100_000)
    minutes, seconds = divmod(total, 60 * 100_000)
    return [(minutes // 60, 1), (minutes % 60, 1), (seconds, 100_000)]


def utc_offset(minutes: int) -> str:
    """An offset as EXIF writes it.

    >>> utc_offset(120), utc_offset(-570), utc_offset(0)
    ('+02:00', '-09:30', '+00:00')
    """
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02d}:{rest:02d}"


def image_tags(spec: SequenceSpec) -> dict[int, TagValue]:
    """The tags of the first directory: who and what made the picture."""
    tags: dict[int, TagValue] = {MAKE: spec.camera.make, MODEL: spec.camera.model, SOFTWARE: "panofed demo 1"}
    return tags | ({ARTIST: spec.artist} if spec.artist else {})


def photo_tags(spec: SequenceSpec, shot: Shot) -> dict[int, TagValue]:
    """The tags of the EXIF directory: when and how; the time is the camera's local one."""
    local = shot.taken.astimezone(UTC) + timedelta(minutes=spec.offset_min)
    return {
        EXIF_VERSION: "0232",
        DATE_ORIGINAL: local.strftime("%Y:%m:%d %H:%M:%S"),
        SUBSEC_ORIGINAL: f"{local.microsecond // 1_000:03d}",
        OFFSET_ORIGINAL: utc_offset(spec.offset_min),
        EXPOSURE_TIME: (1, 240 + 10 * (shot.rank % 25)),
        F_NUMBER: rational(2.8, 10),
        ISO: 100 + 50 * (shot.rank % 4),
        FOCAL_LENGTH: rational(spec.camera.focal_mm),
        WHITE_BALANCE: 0,
        SERIAL_NUMBER: f"C{abs(round(spec.lat * 1_000_000)):09d}",
        LENS_MODEL: f"{spec.camera.model} {spec.camera.focal_mm} mm f/2.8",
    }


def gps_tags(spec: SequenceSpec, shot: Shot) -> dict[int, TagValue]:
    """The tags of the GPS directory; the direction only if the camera knew it."""
    moment: datetime = shot.taken.astimezone(UTC)
    tags: dict[int, TagValue] = {
        LAT_REF: "N" if shot.lat >= 0 else "S",
        LAT: degrees_minutes_seconds(shot.lat),
        LON_REF: "E" if shot.lon >= 0 else "W",
        LON: degrees_minutes_seconds(shot.lon),
        ALTITUDE_REF: 0,
        ALTITUDE: rational(35.0 + shot.rank % 7),
        GPS_TIME: [(moment.hour, 1), (moment.minute, 1), (moment.second * 1_000 + moment.microsecond // 1_000, 1_000)],
        GPS_DATE: moment.strftime("%Y:%m:%d"),
        POSITIONING_ERROR: rational(spec.accuracy_m),
    }
    if spec.with_heading:
        tags |= {DIRECTION_REF: "T", DIRECTION: rational(shot.heading % 360.0)}
    return tags


def panorama_xmp(width: int, height: int, heading: float) -> str:
    """The packet that tells a viewer the picture is a whole sphere; sizes in pixels, heading in degrees."""
    return XMP.format(width=width, height=height, heading=heading, pitch=1.5, roll=-0.7)
