"""The GeoParquet export as files: its manifest, and the leaves it names, whole or in ranges."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.requests import Request

from catalog_api.edge.responses import JSON, Answer, NotFound, error_answer
from catalog_api.index.recalls import recalled
from catalog_api.state import catalog_of
from federation.settings import Settings

MANIFEST = "manifest.json"
_PARQUET = b"application/vnd.apache.parquet"
#: A file's name has its checksum: what it holds never changes. It is gone as soon as a newer manifest does not name it.
_UNCHANGING = b"public, max-age=0, must-revalidate"
_NAME = re.compile(r"[0-9a-f]{1,16}-[0-9a-f]{16}\.parquet")
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_PIECE_BYTES = 1 << 18


def exports_folder(settings: Settings) -> Path:
    """Where the export is written and served from."""
    return Path(settings.exports_dir) if settings.exports_dir else settings.data_dir / "exports"


def current_manifest(settings: Settings) -> dict[str, Any] | None:
    """What the export's manifest says; None without one that can be read."""
    try:
        found = json.loads((exports_folder(settings) / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("token"), str) else None


async def get_manifest(request: Request) -> Answer:
    """GET /api/exports and /api/exports/manifest.json. Files that were recalled are not in it."""
    catalog = catalog_of(request)
    path = exports_folder(catalog.settings) / MANIFEST
    try:
        body = await asyncio.to_thread(path.read_bytes)
        manifest = json.loads(body)
    except (OSError, ValueError) as error:
        raise NotFound("no export has been written yet") from error
    gone = await recalled(catalog.index.fetch, _known(manifest))
    return Answer(body=_without(manifest, gone) if gone else body, media_type=JSON)


def _known(manifest: dict[str, Any]) -> list[tuple[str, int]]:
    """Each file's leaf and the last recall it knows of."""
    return [(file["leaf"], file.get("recall", 0)) for file in manifest["files"]]


def _without(manifest: dict[str, Any], gone: set[str]) -> bytes:
    files = [file for file in manifest["files"] if file["leaf"] not in gone]
    sums = {name: sum(file[name] for file in files) for name in ("pictures", "bytes")}
    return json.dumps(manifest | sums | {"files": files, "complete": False}, indent=2).encode()


async def get_export(request: Request) -> Answer:
    """GET /api/exports/{file}: one leaf."""
    name = request.path_params["file"]
    if name == MANIFEST:
        return await get_manifest(request)
    if not _NAME.fullmatch(name):
        raise NotFound(f"there is no export {name[:60]!r}")
    etag = f'"{name.removesuffix(".parquet")}"'.encode()
    headers = [(b"etag", etag), (b"accept-ranges", b"bytes")]
    catalog = catalog_of(request)
    manifest = await asyncio.to_thread(current_manifest, catalog.settings)
    own = [file for file in (manifest or {"files": []})["files"] if file["file"] == name]
    if own and await recalled(catalog.index.fetch, _known({"files": own})):
        raise NotFound(f"the export {name} is not served any more: something in it was withdrawn")
    path = exports_folder(catalog.settings) / name
    try:
        size = (await asyncio.to_thread(path.stat)).st_size
    except OSError as error:
        raise NotFound(f"there is no export {name}: read the manifest again") from error
    if request.headers.get("if-none-match", "").encode() in (etag, b"*"):
        return Answer(status=304, media_type=_PARQUET, cache=_UNCHANGING, headers=headers)
    # a range of another file than the client has begun with would make a broken one
    same = request.headers.get("if-range", "").encode() in (b"", etag)
    return _send_part(path, size, request.headers.get("range", "") if same else "", headers)


def _send_part(path: Path, size: int, wanted: str, headers: list[tuple[bytes, bytes]]) -> Answer:
    part = read_range(wanted, size)
    if part is None:
        return error_answer(416, f"{wanted[:60]!r} is outside the {size} bytes", None, [_content_range(size)])
    headers.append((b"content-length", b"%d" % len(part)))
    if len(part) < size:
        headers.append(_content_range(size, part))
    return Answer(
        status=206 if len(part) < size else 200, media_type=_PARQUET, cache=_UNCHANGING, headers=headers,
        chunks=_pieces(path, part), plain=True,
    )  # fmt: skip


def read_range(text: str, size: int) -> range | None:
    """The bytes a Range header asks for; all of them for what is none or several, None for what cannot be.

    >>> read_range("bytes=2-3", 10), read_range("bytes=-4", 10), read_range("bytes=8-", 10), read_range("", 10)
    (range(2, 4), range(6, 10), range(8, 10), range(0, 10))
    >>> read_range("bytes=10-", 10) is None, read_range("bytes=0-1,3-4", 10)
    (True, range(0, 10))
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or found[1] == found[2] == "":
        return range(size)
    if found[1] == "":
        return range(max(0, size - int(found[2])), size) if int(found[2]) else None
    start, end = int(found[1]), min(int(found[2] or size), size - 1) + 1
    return range(start, end) if start < end else None


def _content_range(size: int, part: range | None = None) -> tuple[bytes, bytes]:
    shown = "*" if part is None else f"{part.start}-{part.stop - 1}"
    return b"content-range", f"bytes {shown}/{size}".encode()


async def _pieces(path: Path, part: range) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        file.seek(part.start)
        left = len(part)
        while left:
            piece = await asyncio.to_thread(file.read, min(_PIECE_BYTES, left))
            if not piece:
                return
            left -= len(piece)
            yield piece
