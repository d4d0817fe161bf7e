"""The files pages are made with: our own from static/, and the viewer's from the folder `make viewer` fills.

Their addresses hold a fingerprint of them all, so that browsers keep them for ever and ask for others after an upgrade.
"""

from __future__ import annotations

import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import orjson
import xxhash
from starlette.requests import Request

from catalog_api.edge.codings import preferred
from catalog_api.edge.responses import Answer, NotFound
from catalog_api.state import catalog_of

_OWN = Path(__file__).with_name("static")
#: What is served of the viewer's folder.
_VIEWER = (
    "index.js",
    "index.css",
    "outline.json",
    "chart.umd.js",
    "LICENSES.txt",
    "static/media/*.woff2",
    "static/media/*.woff",
)
#: Written last by those who fill the folder.
_MARK = "viewer.json"
_FOREVER = b"public, max-age=31536000, immutable"
_MADE_BEFOREHAND = {b"br": ".br", b"gzip": ".gz"}
_TEXT = ("text/", "application/json")


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file in memory: as it is, and by coding where that was made beforehand."""

    media_type: bytes
    body: bytes
    coded: Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Every file by name. `viewer` is the version of the viewer, "" without one."""

    files: Mapping[str, File]
    fingerprint: str
    viewer: str

    def href(self, name: str) -> str:
        """The address of a file."""
        return f"/assets/{self.fingerprint}/{name}"


def shelf_of(folder: Path) -> Shelf:
    """The files with the viewer in `folder`, where it is there; one that comes later is seen."""
    try:
        made_ns = (folder / _MARK).stat().st_mtime_ns
    except OSError:
        made_ns = 0
    return _read(folder, made_ns)


async def get_file(request: Request) -> Answer:
    """GET /assets/{version}/{file}: a version that is not ours is answered too, but not to be kept."""
    shelf = shelf_of(catalog_of(request).settings.viewer_dir)
    name = request.path_params["file"]
    file = shelf.files.get(name)
    if file is None:
        raise NotFound(f"there is no file {name[:200]!r}")
    known = request.path_params["version"] == shelf.fingerprint
    answer = _coded(file, request.headers.get("accept-encoding", "").encode("latin-1"))
    return replace(answer, cache=_FOREVER) if known else answer


async def get_icon(request: Request) -> Answer:
    """GET /favicon.ico: browsers ask for it where an answer names no icon, such as JSON."""
    return _coded(shelf_of(catalog_of(request).settings.viewer_dir).files["icon.svg"], b"")


def _coded(file: File, accepted: bytes) -> Answer:
    """A coding made beforehand is smaller than any that is made now."""
    for coding, body in file.coded.items():
        if preferred(accepted, (coding,)):
            return Answer(body=body, media_type=file.media_type, headers=[(b"content-encoding", coding)], plain=True)
    return Answer(body=file.body, media_type=file.media_type, plain=not file.media_type.decode().startswith(_TEXT))


@lru_cache(maxsize=4)
def _read(folder: Path, made_ns: int) -> Shelf:
    files = {path.name: _file(path) for path in sorted(_OWN.iterdir())}
    viewer = ""
    if made_ns:
        paths = [path for pattern in _VIEWER for path in sorted(folder.glob(pattern))]
        files |= {f"viewer/{path.relative_to(folder).as_posix()}": _file(path) for path in paths}
        viewer = orjson.loads((folder / _MARK).read_bytes())["viewer"]
    every = xxhash.xxh3_64()
    for name, file in files.items():
        every.update(name.encode())
        every.update(file.body)
    return Shelf(files=files, fingerprint=every.hexdigest(), viewer=viewer)


def _file(path: Path) -> File:
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    media_type = f"{kind}; charset=utf-8" if kind.startswith(_TEXT) else kind
    beside = {coding: path.with_name(path.name + suffix) for coding, suffix in _MADE_BEFOREHAND.items()}
    coded = {coding: each.read_bytes() for coding, each in beside.items() if each.exists()}
    return File(media_type=media_type.encode(), body=path.read_bytes(), coded=coded)
