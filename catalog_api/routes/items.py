"""Endpoints that answer pages of pictures: /search and /collections/{id}/items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from catalog_api.answers.fields import read_fields
from catalog_api.answers.pages import Link, answer_form, answer_page
from catalog_api.answers.rows import form_of, read_format
from catalog_api.edge.bodies import read_body
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer
from catalog_api.index.index import Index
from catalog_api.query.params import joined, merged
from catalog_api.query.search_params import SearchParams, search_params
from catalog_api.search.counting import count_matches
from catalog_api.search.paging import Page
from catalog_api.search.search import search
from catalog_api.state import Catalog, catalog_of

_GEOJSON_TYPE = "application/geo+json"


async def get_search(request: Request) -> Answer:
    """GET /api/search."""
    asked = joined(request.query_params.multi_items())

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


async def _asked_of(catalog: Catalog, params: SearchParams) -> SearchParams:
    """The search without instances that nobody has reached for long, where that is set and nothing names them."""
    settings = catalog.settings
    if not settings.hide_unreachable or not params.is_default:
        return params
    return replace(params, left_out=await catalog.registry.unreachable(timedelta(days=settings.unreachable_days)))


async def _search(request: Request, asked: Mapping[str, Any], next_link: Any) -> Answer:
    catalog = catalog_of(request)
    form, settings = read_format(asked.get("format")), catalog.settings
    if form is not None:
        # rows are small and streamed: they may be many more than items
        settings = settings.model_copy(
            update={"search_limit_max": settings.export_rows_max, "search_limit_default": settings.export_rows_max}
        )
    params, fields = await _asked_of(catalog, search_params(asked, settings)), read_fields(asked.get("fields"))
    writer = catalog.writer(host_of(request))
    href = f"{writer.base}/search"

    whole = await count_matches(catalog.index, settings, params) if params.count else None

    async def ask(index: Index, limit: int, token: str | None) -> Page:
        wanted = params
        if (limit, token) != (params.limit, params.token):
            wanted = replace(params, limit=limit, token=token)
        page = await search(index, catalog.settings, wanted)
        return page if whole is None else replace(page, matched=whole)

    def links(page: Page) -> list[Link]:
        here: Link = {"rel": "self", "type": _GEOJSON_TYPE, "href": href}
        return [here] if page.token is None else [here, next_link(href, page.token)]

    if form is not None:
        rows, slots = form_of(form, catalog, links), catalog.row_answers
        return await answer_form(catalog, rows, ask, params.limit, params.token, slots=slots)
    return await answer_page(catalog, writer, ask, links, params.limit, params.token, fields=fields)
