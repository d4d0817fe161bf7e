"""Draws the demonstration's JPEG files; run as a file by the Python of an instance's environment, which has Pillow.

Reads from standard input, one JSON object a line:
{"file", "title", "label", "seed", "scene", "panoramic", "along_m", "image", "photo", "gps", "xmp"}.
Writes each picture whole or not at all. The same lines always give the same bytes.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeAlias

# by name: Pillow is in the environment this runs in, not in the one it is type-checked in
Image: Any = import_module("PIL.Image")
ImageDraw: Any = import_module("PIL.ImageDraw")
ImageFont: Any = import_module("PIL.ImageFont")
IFDRational: Any = import_module("PIL.TiffImagePlugin").IFDRational

Colour: TypeAlias = tuple[int, int, int]
#: metres to the right of the camera, above the ground, ahead
Point: TypeAlias = tuple[float, float, float]
Pixel: TypeAlias = tuple[float, float]

EYE_M = 2.2
ROAD_M, FACADE_M = 4.5, 9.0
LOT_M = 12.0
NEAR_M = 0.4
BEHIND_M, AHEAD_M = 60.0, 150.0
EXIF_IFD, GPS_IFD = 0x8769, 0x8825
BYTE_TAGS = {0x9000, 5}  # EXIF says "undefined" or "byte" where Pillow would write text or a short
WALLS: tuple[Colour, ...] = (
    (222, 207, 178), (201, 178, 148), (188, 120, 98), (228, 222, 210), (170, 160, 150), (206, 150, 116),
    (150, 165, 176),
)  # fmt: skip
PALETTES: dict[str, dict[str, Colour]] = {
    "street": {"zenith": (74, 134, 206), "horizon": (214, 230, 242), "ground": (150, 148, 144), "road": (84, 86, 92)},
    "sea": {"zenith": (40, 120, 210), "horizon": (190, 232, 246), "ground": (232, 214, 164), "road": (206, 184, 132)},
    "ice": {"zenith": (120, 150, 196), "horizon": (236, 240, 250), "ground": (240, 244, 250), "road": (214, 226, 240)},
}


class Lens(Protocol):
    """Turns a polygon in metres into one in pixels; an empty one if it is out of view."""

    width: int
    height: int

    def outline(self, corners: Sequence[Point]) -> list[Pixel]: ...


class FlatLens:
    """An ordinary camera that looks ahead."""

    width, height = 640, 480
    focal = 420.0

    def outline(self, corners: Sequence[Point]) -> list[Pixel]:
        seen = list(self._in_front(corners))
        middle, horizon = self.width / 2, self.height * 0.52
        return [(middle + self.focal * x / z, horizon - self.focal * (y - EYE_M) / z) for x, y, z in seen]

    @staticmethod
    def _in_front(corners: Sequence[Point]) -> Iterator[Point]:
        """Cut off what is behind the camera, or its pixels would be upside down."""
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            if a[2] >= NEAR_M:
                yield a
            if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
                share = (NEAR_M - a[2]) / (b[2] - a[2])
                yield a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), NEAR_M


class SphereLens:
    """A camera that sees the whole sphere; straight edges are drawn in pieces, since they become curves."""

    width, height = 1024, 512
    piece_m = 1.0

    def outline(self, corners: Sequence[Point]) -> list[Pixel]:
        return [self._pixel(point) for point in self._pieces(corners)]

    def _pieces(self, corners: Sequence[Point]) -> Iterator[Point]:
        for a, b in zip(corners, [*corners[1:], corners[0]], strict=True):
            count = max(1, min(40, math.ceil(math.dist(a, b) / self.piece_m)))
            for i in range(count):
                share = i / count
                yield a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])

    def _pixel(self, point: Point) -> Pixel:
        x, y, z = point
        azimuth = math.atan2(x, z)
        elevation = math.atan2(y - EYE_M, math.hypot(x, z))
        return (azimuth / math.tau + 0.5) * self.width, (0.5 - elevation / math.pi) * self.height


def draw(order: dict[str, Any]) -> Any:
    """The picture one line asks for, as a Pillow image."""
    lens: Lens = SphereLens() if order["panoramic"] else FlatLens()
    palette = PALETTES[order["scene"]]
    image = _sky(lens, palette)
    pen = ImageDraw.Draw(image)
    _sun(pen, lens, order["seed"])
    pen.rectangle([0, _horizon(lens), lens.width, lens.height], fill=palette["ground"])
    if order["scene"] == "sea":
        _fill(pen, lens, _flat_quad(14.0, 900.0, -900.0, 900.0), (38, 132, 178))
    _road(pen, lens, palette["road"], order)
    for side, lot in _lots(order["along_m"]):
        SIDES[order["scene"]](pen, lens, side, lot, order)
    _label(pen, lens, order)
    return image


def _horizon(lens: Lens) -> float:
    return lens.height * (0.5 if lens.width == 2 * lens.height else 0.52)


def _sky(lens: Lens, palette: dict[str, Colour]) -> Any:
    column = Image.new("RGB", (1, lens.height))
    horizon = _horizon(lens)
    for row in range(lens.height):
        share = min(1.0, row / horizon) ** 1.5
        column.putpixel((0, row), _blend(palette["zenith"], palette["horizon"], share))
    return column.resize((lens.width, lens.height))


def _sun(pen: Any, lens: Lens, seed: int) -> None:
    across = random.Random(seed).uniform(0.15, 0.85) * lens.width
    up = _horizon(lens) * 0.3
    for radius, colour in ((26, (250, 240, 205)), (18, (255, 250, 225))):
        pen.ellipse([across - radius, up - radius, across + radius, up + radius], fill=colour)


def _road(pen: Any, lens: Lens, colour: Colour, order: dict[str, Any]) -> None:
    # in two halves: a polygon across the seam behind a sphere camera would be drawn through the middle
    for side in (-1.0, 1.0):
        for start, end in ((-BEHIND_M, -6.0), (-6.0, 6.0), (6.0, AHEAD_M)):  # the nearest part needs the finest edges
            _fill(pen, lens, _flat_quad(side * 1e-6, side * ROAD_M, start, end), colour)
    if lens.width == 2 * lens.height:  # the disc under a sphere camera is the whole lower edge
        below = (0.5 + math.atan2(EYE_M, ROAD_M) / math.pi) * lens.height
        pen.rectangle([0, below, lens.width, lens.height], fill=colour)
    if order["scene"] != "street":
        return
    offset = order["along_m"] % 6.0
    for i in range(-8, 20):
        start = i * 6.0 - offset
        if start > 1.0 or start + 2.5 < -1.0:
            for side in (-1.0, 1.0):
                _fill(pen, lens, _flat_quad(side * 1e-6, side * 0.09, start, start + 2.5), (236, 232, 220))


def _lots(along_m: float) -> Iterator[tuple[int, tuple[int, float]]]:
    """Each side's plots from the farthest to the nearest: (-1 or 1, (its number on the street, metres ahead))."""
    first = math.floor((along_m - BEHIND_M) / LOT_M)
    last = math.floor((along_m + AHEAD_M) / LOT_M)
    plots = [(number, number * LOT_M - along_m) for number in range(first, last + 1)]
    for plot in sorted(plots, key=lambda plot: -abs(plot[1] + LOT_M / 2)):
        yield -1, plot
        yield 1, plot


def _house(pen: Any, lens: Lens, side: int, lot: tuple[int, float], order: dict[str, Any]) -> None:
    number, ahead = lot
    dice = random.Random(f"{order['seed']}/{side}/{number}")
    if dice.random() < 0.12:
        _tree(pen, lens, side * (FACADE_M - 1.5), ahead + LOT_M / 2, dice)
        return
    floors, wall = dice.randint(2, 7), dice.choice(WALLS)
    x, top = side * FACADE_M, floors * 3.1 + 1.2
    far = _blend(wall, (205, 220, 235), min(0.6, abs(ahead) / 260.0))
    _fill(pen, lens, [(x, 0, ahead), (x, top, ahead), (x, top, ahead + LOT_M - 0.3), (x, 0, ahead + LOT_M - 0.3)], far)
    _fill(pen, lens, [(x, 0, ahead), (x, top, ahead), (x + side * 12, top, ahead), (x + side * 12, 0, ahead)],
          _blend(far, (40, 40, 50), 0.35))  # fmt: skip
    if abs(ahead) < 90:
        _windows(pen, lens, x, ahead, floors, dice)


def _windows(pen: Any, lens: Lens, x: float, ahead: float, floors: int, dice: random.Random) -> None:
    for floor in range(floors):
        low = floor * 3.1 + 1.0
        for column in range(3):
            z = ahead + 1.3 + column * 3.6
            colour = (250, 224, 150) if dice.random() < 0.15 else (72, 88, 106)
            _fill(pen, lens, [(x, low, z), (x, low + 1.7, z), (x, low + 1.7, z + 1.6), (x, low, z + 1.6)], colour)


def _tree(pen: Any, lens: Lens, x: float, z: float, dice: random.Random) -> None:
    height = dice.uniform(5.0, 8.0)
    _fill(pen, lens, [(x, 0, z - 0.2), (x, height, z - 0.2), (x, height, z + 0.2), (x, 0, z + 0.2)], (104, 78, 52))
    for low, reach in ((0.35, 2.6), (0.55, 2.0), (0.75, 1.3)):
        base = height * low
        leaves = [(x, base, z - reach), (x, base + height * 0.45, z), (x, base, z + reach)]
        _fill(pen, lens, leaves, (58 + dice.randint(0, 25), 128 + dice.randint(0, 20), 66))


def _shore(pen: Any, lens: Lens, side: int, lot: tuple[int, float], order: dict[str, Any]) -> None:
    if side < 0:
        _tree(pen, lens, -7.5, lot[1], random.Random(f"{order['seed']}/{lot[0]}"))


def _iceberg(pen: Any, lens: Lens, side: int, lot: tuple[int, float], order: dict[str, Any]) -> None:
    dice = random.Random(f"{order['seed']}/{side}/{lot[0]}")
    x, z, height = side * dice.uniform(9.0, 26.0), lot[1], dice.uniform(1.5, 7.0)
    left, peak, right = (x, 0.0, z - 5.0), (x, height, z + dice.uniform(-2.0, 2.0)), (x, 0.0, z + 5.0)
    _fill(pen, lens, [left, peak, right], (206, 224, 242))
    _fill(pen, lens, [(x, 0.0, z), peak, right], (176, 202, 230))


SIDES = {"street": _house, "sea": _shore, "ice": _iceberg}


def _label(pen: Any, lens: Lens, order: dict[str, Any]) -> None:
    large, small = ImageFont.load_default(size=20), ImageFont.load_default(size=13)
    width = max(pen.textlength(order["title"], font=large), pen.textlength(order["label"], font=small))
    sphere = lens.width == 2 * lens.height
    left, top = (lens.width / 2 - width / 2, lens.height * 0.66) if sphere else (14.0, lens.height * 0.86)
    pen.rectangle([left - 8, top - 5, left + width + 8, top + 42], fill=(28, 32, 44))
    pen.text((left, top - 2), order["title"], fill=(255, 255, 255), font=large)
    pen.text((left, top + 23), order["label"], fill=(190, 205, 225), font=small)


def _flat_quad(x0: float, x1: float, z0: float, z1: float) -> list[Point]:
    return [(x0, 0.0, z0), (x0, 0.0, z1), (x1, 0.0, z1), (x1, 0.0, z0)]


def _fill(pen: Any, lens: Lens, corners: Sequence[Point], colour: Colour) -> None:
    outline = lens.outline(corners)
    if len(outline) >= 3:
        pen.polygon(outline, fill=colour)


def _blend(a: Colour, b: Colour, share: float) -> Colour:
    red, green, blue = (round(x + (y - x) * share) for x, y in zip(a, b, strict=True))
    return red, green, blue


def exif(order: dict[str, Any]) -> Any:
    """The tags of one line as Pillow wants them."""
    directory = Image.Exif()
    for number, value in order["image"].items():
        directory[int(number)] = value
    for ifd, name in ((EXIF_IFD, "photo"), (GPS_IFD, "gps")):
        tags = directory.get_ifd(ifd)
        for number, value in order[name].items():
            tags[int(number)] = _tag(int(number), value)
    return directory


def _tag(number: int, value: Any) -> Any:
    if number in BYTE_TAGS:
        return value.encode() if isinstance(value, str) else bytes([value])
    if isinstance(value, list):
        nested = isinstance(value[0], list)
        return tuple(IFDRational(*part) for part in value) if nested else IFDRational(*value)
    return value


def main() -> None:
    """Draw what the lines ask for."""
    for line in sys.stdin:
        order = json.loads(line)
        path = Path(order["file"])
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        xmp = {"xmp": order["xmp"].encode()} if order["xmp"] else {}
        draw(order).save(unfinished, "JPEG", quality=74, exif=exif(order), **xmp)
        unfinished.replace(path)


if __name__ == "__main__":
    main()
