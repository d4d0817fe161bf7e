"""What an export consists of: its files, and the place in the change feed from which a reader goes on."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import orjson

#: Rises when the files' columns change: files of another version are not used again.
FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One leaf's file. `leaf` is its H3 cell in hexadecimal; its name has the beginning of its SHA-256."""

    leaf: str
    file: str
    pictures: int
    bytes: int
    sha256: str
    written_at: str
    #: the last recall that it knows of
    recall: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All files, and `token`: the feed from there tells everything that the files do not have yet.

    `made_for` are the address and the instances' names, which stand in the files. Not `complete`: some leaves are
    missing, because they have to be written anew.
    """

    token: str
    written_at: str
    made_for: str
    files: tuple[File, ...]
    complete: bool = True
    format: int = FORMAT

    def as_json(self) -> bytes:
        """For people and programs: with the sums first."""
        sums = {"pictures": sum(each.pictures for each in self.files), "bytes": sum(each.bytes for each in self.files)}
        return orjson.dumps({"type": "stac-geoparquet"} | sums | asdict(self), option=orjson.OPT_INDENT_2)


def read_manifest(path: Path) -> Manifest | None:
    """The manifest; None without one, or with one that another version wrote."""
    try:
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        if found["format"] != FORMAT:
            return None
        files = tuple(File(**each) for each in found["files"])
        return Manifest(**{each.name: found[each.name] for each in fields(Manifest)} | {"files": files})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Replace it in one step: readers see the one before or this one, never a part."""
    beside = path.with_name(f".{path.name}.new")
    with beside.open("wb") as file:
        file.write(manifest.as_json())
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
