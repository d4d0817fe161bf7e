"""Endpoints that answer pages of pictures: /search and /collections/{id}/items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from catalog_api.index import Index
from catalog_api.pages import Link, answer_page
from catalog_api.params import merged, search_params
from catalog_api.responses import Answer, BodyTooLarge
from catalog_api.search import Page, search
from catalog_api.state import Catalog

_GEOJSON_TYPE = "application/geo+json"


def catalog_of(request: Request) -> Catalog:
    """The worker's state."""
    catalog: Catalog = request.scope["state"]["catalog"]
    return catalog


def host_of(request: Request) -> str:
    """The Host header, which only counts when it is a loopback address."""
    for name, value in request.scope["headers"]:
        if name == b"host":
            return str(value.decode("latin-1"))
    return ""


async def get_search(request: Request) -> Answer:
    """GET /api/search."""
    asked = dict(request.query_params)

    def next_link(href: str, token: str) -> Link:
        query = urlencode(asked | {"token": token})
        return {"rel": "next", "type": _GEOJSON_TYPE, "method": "GET", "href": f"{href}?{query}"}

    return await _search(request, asked, next_link)


async def post_search(request: Request) -> Answer:
    """POST /api/search; the parameters are the members of a JSON object."""
    catalog = catalog_of(request)
    body = await read_body(request, catalog.settings.body_max_bytes)
    asked = merged(request.query_params, body)

    def next_link(href: str, token: str) -> Link:
        again = asked | {"token": token}
        return {"rel": "next", "type": _GEOJSON_TYPE, "method": "POST", "href": href, "body": again, "merge": False}

    return await _search(request, asked, next_link)


async def _search(request: Request, asked: Mapping[str, Any], next_link: Any) -> Answer:
    catalog = catalog_of(request)
    params = search_params(asked, catalog.settings)
    writer = catalog.writer(host_of(request))
    href = f"{writer.base}/search"

    async def ask(index: Index, limit: int, token: str | None) -> Page:
        return await search(index, catalog.settings, replace(params, limit=limit, token=token))

    def links(page: Page) -> list[Link]:
        here: Link = {"rel": "self", "type": _GEOJSON_TYPE, "href": href}
        return [here] if page.token is None else [here, next_link(href, page.token)]

    return await answer_page(catalog, writer, ask, links, params.limit, params.token)


async def read_body(request: Request, most: int) -> bytes:
    """The request's body; BodyTooLarge as soon as it is longer than `most` bytes."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise BodyTooLarge(f"the body is longer than {most} bytes")
        pieces.append(piece)
    return b"".join(pieces)
