"""The logo of an instance: a redirect to its own raster picture, or a plain one of ours. Nobody else's bytes are sent.

An SVG can hold programs, which run where it is shown: it is never led to. Nor is a server that is not the instance's.
"""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

import orjson
from starlette.requests import Request

from catalog_api.edge.responses import Answer
from catalog_api.index.registry import web_root
from catalog_api.routes.instances import find_instance
from catalog_api.state import catalog_of

_RASTER = (".png", ".jpg", ".jpeg", ".webp", ".gif")
_CACHE = b"public, max-age=60"
#: 16 x 16, one grey: there is a logo on every page that has a place for one.
PLACEHOLDER = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAD0lEQVR42mOYhQYYRrYAANXPmgGfqe3GAAAAAElFTkSuQmCC"
)


async def get_logo(request: Request) -> Answer:
    """GET /api/instances/{name}/logo."""
    row = await find_instance(catalog_of(request), request.path_params["name"])
    web = web_root(row["url"])
    host = urlsplit(web).netloc.rpartition("@")[2].lower()
    target = logo_of(row["configuration"], frozenset({host, *(each.lower() for each in row["asset_hosts"])}))
    if target is None:
        return Answer(body=PLACEHOLDER, media_type=b"image/png", cache=_CACHE)
    return Answer(status=302, cache=_CACHE, headers=[(b"location", target.encode())])


def logo_of(configuration: str, hosts: frozenset[str]) -> str | None:
    """The address of a raster logo on one of these hosts, None when the configuration names no such one.

    >>> logo_of('{"logo": "https://a.example/logo.png"}', frozenset({"a.example"}))
    'https://a.example/logo.png'
    >>> logo_of('{"logo": "https://a.example/logo.svg"}', frozenset({"a.example"})) is None
    True
    """
    members = orjson.loads(configuration)
    text = members.get("logo") if isinstance(members, dict) else None
    if not isinstance(text, str) or not text.isascii() or not text.isprintable() or any(c in text for c in ' "<>\\'):
        return None
    try:
        parts = urlsplit(text)
        named = parts.netloc.lower()
    except ValueError:
        return None
    good = parts.scheme in ("http", "https") and named in hosts and parts.path.lower().endswith(_RASTER)
    return text if good else None
