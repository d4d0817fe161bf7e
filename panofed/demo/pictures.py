"""The JPEG files of a sequence: made once by `draw.py` in an instance's environment, then found again."""

from __future__ import annotations

import json
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from federation.errors import DemoError
from panofed.demo.exif import gps_tags, image_tags, panorama_xmp, photo_tags
from panofed.demo.walk import SequenceSpec, Shot, shots

PANORAMA_SIZE = (1024, 512)
DRAW = Path(__file__).with_name("draw.py")


def make_pictures(python: Path, specs: Sequence[SequenceSpec], directory: Path) -> dict[str, list[Path]]:
    """The files of every sequence, in the order of the street: title -> paths. Missing ones are drawn (~100 a second).

    `python` is the interpreter of an environment that has Pillow.
    """
    files = {spec.title: [picture_path(spec, shot, directory) for shot in shots(spec)] for spec in specs}
    missing = [
        (spec, shot) for spec in specs for shot in shots(spec) if not picture_path(spec, shot, directory).exists()
    ]
    draw_shots(python, missing, directory)
    return files


def make_more_pictures(python: Path, spec: SequenceSpec, count: int, directory: Path) -> list[Path]:
    """`count` pictures that continue the street of `spec` where its own end."""
    more = list(shots(spec, first=spec.pictures + 1, count=count))
    draw_shots(python, [(spec, shot) for shot in more], directory)
    return [picture_path(spec, shot, directory) for shot in more]


def draw_shots(python: Path, wanted: Sequence[tuple[SequenceSpec, Shot]], directory: Path) -> None:
    """Run `draw.py` on some shots; raises DemoError with its last words if it fails."""
    if not wanted:
        return
    lines = "\n".join(json.dumps(_order(spec, shot, directory)) for spec, shot in wanted)
    done = subprocess.run([python, "-I", DRAW], input=lines, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"The demonstration's pictures cannot be drawn: {done.stderr[-600:].strip()}")


def picture_path(spec: SequenceSpec, shot: Shot, directory: Path) -> Path:
    """Where one picture is, or will be.

    >>> from panofed.demo.datasets import PARIS_RIVOLI
    >>> picture_path(PARIS_RIVOLI, next(shots(PARIS_RIVOLI)), Path("pictures")).as_posix()
    'pictures/rue-de-rivoli/rue-de-rivoli-0001.jpg'
    """
    return directory / slug(spec.title) / f"{slug(spec.title)}-{shot.rank:04d}.jpg"


def slug(title: str) -> str:
    """A title as a file name.

    >>> slug("Avenue de l'Indépendance, Antananarivo")
    'avenue-de-l-ind-pendance-antananarivo'
    """
    words = "".join(letter if letter.isascii() and letter.isalnum() else " " for letter in title.lower()).split()
    return "-".join(words)


def _order(spec: SequenceSpec, shot: Shot, directory: Path) -> dict[str, Any]:
    """One line of what `draw.py` reads."""
    panoramic = spec.camera.panoramic
    return {
        "file": str(picture_path(spec, shot, directory)),
        "title": spec.title,
        "label": " ".join(_label(spec, shot)),
        "seed": zlib.crc32(spec.title.encode()),
        "scene": spec.scene,
        "panoramic": panoramic,
        "along_m": (shot.rank - 1) * spec.step_m,
        "image": image_tags(spec),
        "photo": photo_tags(spec, shot),
        "gps": gps_tags(spec, shot),
        "xmp": panorama_xmp(*PANORAMA_SIZE, shot.heading) if panoramic else "",
    }


def _label(spec: SequenceSpec, shot: Shot) -> Iterator[str]:
    yield f"{shot.rank}/{spec.pictures}" if shot.rank <= spec.pictures else f"{shot.rank}"
    yield f" {shot.lat:.5f} {shot.lon:.5f}"
    yield f" {shot.taken:%Y-%m-%d}  {spec.camera.model}"
