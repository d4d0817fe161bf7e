"""Endpoints of sequences: the list, one of them, its pictures by rank, its thumbnail."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from starlette.requests import Request

from catalog_api.answers.fields import read_fields
from catalog_api.answers.pages import Link, answer_page
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound
from catalog_api.index.index import Index
from catalog_api.query.params import (
    Interval,
    as_uuid,
    read_box,
    read_interval,
    read_limit,
    read_rank,
    read_token,
)
from catalog_api.query.places import ewkb_of_box
from catalog_api.query.tokens import fingerprint, write_token
from catalog_api.query.tokens import read_token as open_token
from catalog_api.routes.rss import get_feed
from catalog_api.search.listing import ListPage, list_params, list_sequences
from catalog_api.search.search import Page
from catalog_api.search.walks import RANK_MIN, RankPosition, read_sequence
from catalog_api.state import catalog_of
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


def sequence_id(request: Request) -> str:
    """The id in the path; NotFound when it cannot be one."""
    text = request.path_params["sequence"]
    found = as_uuid(text)
    if found is None:
        raise NotFound(f"there is no collection {text[:60]!r}")
    return found


async def get_sequence(request: Request) -> Answer:
    """GET /api/collections/{id}."""
    catalog, identifier = catalog_of(request), sequence_id(request)
    row = await _sequence_row(catalog.index, identifier)
    await catalog.registry.prepare([row])
    return Answer(body=catalog.writer(host_of(request)).collection(row))


async def _sequence_row(index: Index, identifier: str) -> Row:
    rows = await index.fetch(query("catalog_sequence"), identifier)
    if not rows:
        raise NotFound(f"there is no collection {identifier}")
    return rows[0]


#: The time at which this catalog learnt of it: whoever follows us reads on from the last one.
_ORDER = "+panofed:indexed"


async def get_sequences(request: Request) -> Answer:
    """GET /api/collections, as JSON or as RSS."""
    catalog, asked = catalog_of(request), dict(request.query_params)
    form = asked.get("format") or "json"
    if form == "rss":
        return await get_feed(request)
    if form != "json":
        raise BadRequest("format", form, "is neither json nor rss")
    params = list_params(asked, catalog.settings.collections_limit_max, order=_ORDER)
    page = await list_sequences(catalog.index, params)
    await catalog.registry.prepare([row for row in page.rows if not row["removed"]])
    writer = catalog.writer(host_of(request))
    links = list_links(f"{writer.base}/collections", asked, page)
    numbers: dict[str, int] = {"numberReturned": len(page.rows)}
    if page.matched is not None:
        numbers["numberMatched"] = page.matched
    body = b'{"collections":[%b],"links":[%b],%b' % (
        b",".join(tombstone(row) if row["removed"] else writer.collection(row) for row in page.rows),
        b",".join([writer.root, *map(orjson.dumps, links)]),
        orjson.dumps(numbers)[1:],
    )
    return Answer(body=body)


def tombstone(row: Row) -> bytes:
    """A sequence that was taken back, as an instance lists it."""
    return b'{"id":"%b","geovisio:status":"deleted"}' % str(row["id"]).encode()


def list_links(href: str, asked: dict[str, str], page: ListPage) -> list[Link]:
    """Links of a list of sequences: itself, its first and last page, those before and after."""
    kept = {name: value for name, value in asked.items() if name not in ("token", "page")}
    kind = "application/json"
    links: list[Link] = [
        {"rel": "parent", "type": kind, "href": f"{href.partition('/api/')[0]}/api/"},
        {"rel": "self", "type": kind, "href": with_query(href, asked)},
        {"rel": "first", "type": kind, "href": with_query(href, kept)},
    ]
    for rel, token in page.turns.items():
        links.append({"rel": rel, "type": kind, "href": with_query(href, kept | {"token": token})})
    return links


def with_query(href: str, asked: dict[str, str]) -> str:
    """An address with parameters."""
    return f"{href}?{urlencode(asked)}" if asked else href


@dataclass(frozen=True, slots=True, kw_only=True)
class _ItemsParams:
    limit: int
    ewkb: bytes | None
    interval: Interval
    after_rank: int | None
    with_picture: str | None
    token: str | None


async def get_items(request: Request) -> Answer:
    """GET /api/collections/{id}/items: pictures by rank."""
    catalog, identifier = catalog_of(request), sequence_id(request)
    asked = dict(request.query_params)
    params = _items_params(asked, catalog.settings.items_limit_max)
    bound = fingerprint("items", identifier, params.ewkb, params.interval)
    writer = catalog.writer(host_of(request))
    href = f"{writer.base}/collections/{identifier}/items"

    async def ask(index: Index, limit: int, token: str | None) -> Page:
        return await _page_of(index, identifier, params, bound, limit, token)

    def links(page: Page) -> list[Link]:
        return _items_links(href, asked, page, bound, first=params.token is None and params.after_rank is None)

    return await answer_page(
        catalog, writer, ask, links, params.limit, params.token,
        fields=read_fields(asked.get("fields")),
    )  # fmt: skip


def _items_params(asked: dict[str, str], most: int) -> _ItemsParams:
    box = read_box(asked.get("bbox"))
    with_picture = asked.get("withPicture") or None
    if with_picture is not None and as_uuid(with_picture) is None:
        raise BadRequest("withPicture", with_picture, "is not a UUID")
    return _ItemsParams(
        limit=read_limit(asked.get("limit"), most, most),
        ewkb=None if box is None else ewkb_of_box(box),
        interval=read_interval(asked.get("datetime")),
        after_rank=read_rank(asked.get("startAfterRank")),
        with_picture=with_picture,
        token=read_token(asked.get("token")),
    )


async def _page_of(
    index: Index, identifier: str, params: _ItemsParams, bound: str, limit: int, token: str | None
) -> Page:
    async def work(leaves: LeafSet) -> Page:
        known = await index.fetch(query("catalog_sequence_leaves"), [identifier])
        if not known:
            raise NotFound(f"there is no collection {identifier}")
        kind, start = await _start(index, known[0], params, bound, limit, token)
        rows = await read_sequence(
            index, leaves, known[0], start, limit + 1, params.interval, params.ewkb, backwards=kind == "before"
        )
        more = len(rows) > limit
        rows = rows[:limit]
        if kind == "before":
            rows.reverse()
            more = True
        ends = rows[-1] if rows and more else None
        following = write_token("after", bound, ends["rank"], ends["id"]) if ends is not None else None
        return Page([(row, identifier) for row in rows], following)

    return await index.repeat(work)


async def _start(
    index: Index, sequence: Row, params: _ItemsParams, bound: str, limit: int, token: str | None
) -> tuple[str, RankPosition]:
    if token is not None:
        types = (int, uuid.UUID)
        kind, (rank, identifier) = open_token(token, bound, after=types, before=types)
        return kind, RankPosition(rank=rank, id=identifier)
    if params.after_rank is not None:
        return "after", RankPosition(rank=params.after_rank, id=_LAST_ID)
    if params.with_picture is not None:
        rows = await index.fetch(query("catalog_rank_of"), params.with_picture, sequence["n"])
        if not rows:
            raise BadRequest("withPicture", params.with_picture, "is not a picture of this collection")
        # pages as they are counted from the first rank
        rank = rows[0]["rank"]
        return "after", RankPosition(rank=(rank - 1) // limit * limit, id=_LAST_ID)
    return "after", RankPosition(rank=RANK_MIN)


def _items_links(href: str, asked: dict[str, str], page: Page, bound: str, *, first: bool) -> list[Link]:
    kept = {k: v for k, v in asked.items() if k not in ("token", "startAfterRank", "withPicture")}
    kind = "application/geo+json"
    links: list[Link] = [
        {"rel": "parent", "type": "application/json", "href": href.removesuffix("/items")},
        {"rel": "collection", "type": "application/json", "href": href.removesuffix("/items")},
        {"rel": "self", "type": kind, "href": with_query(href, asked)},
        {"rel": "first", "type": kind, "href": with_query(href, kept)},
    ]
    if page.token is not None:
        links.append({"rel": "next", "type": kind, "href": with_query(href, kept | {"token": page.token})})
    if not first and page.pictures:
        row = page.pictures[0][0]
        token = write_token("before", bound, row["rank"], row["id"])
        links.append({"rel": "prev", "type": kind, "href": with_query(href, kept | {"token": token})})
    return links
