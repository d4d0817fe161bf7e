"""Endpoints of sequences: the list, one of them, its pictures by rank, its thumbnail."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson
from starlette.requests import Request

from catalog_api.answers.fields import read_fields
from catalog_api.answers.pages import Link, answer_page
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound
from catalog_api.index.index import Index
from catalog_api.query.filters import compile_filter
from catalog_api.query.params import (
    ALWAYS,
    Interval,
    as_uuid,
    joined,
    read_box,
    read_interval,
    read_limit,
    read_rank,
    read_token,
)
from catalog_api.query.places import ewkb_of_box
from catalog_api.query.predicates import Predicate
from catalog_api.query.tokens import fingerprint, write_token
from catalog_api.query.tokens import read_token as open_token
from catalog_api.query.vocabulary import PICTURES, QUERYABLES
from catalog_api.routes.rss import get_feed
from catalog_api.search.copies import whole
from catalog_api.search.listing import ListPage, list_params, list_sequences
from catalog_api.search.paging import Page
from catalog_api.search.walks import LAST_ID, RANK_MAX, RANK_MIN, RankPosition, read_copies
from catalog_api.state import catalog_of
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query


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
    return Answer(body=catalog.writer(host_of(request)).collection(whole(row)))


async def _sequence_row(index: Index, identifier: str) -> Row:
    rows = await index.fetch(query("catalog_sequence"), identifier)
    if not rows:
        raise NotFound(f"there is no collection {identifier}")
    return rows[0]


#: The time at which this catalog learnt of it: whoever follows us reads on from the last one.
_ORDER = "+panofed:indexed"


async def get_sequences(request: Request) -> Answer:
    """GET /api/collections, as JSON or as RSS."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
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
    kind, base = "application/json", href.partition("/api/")[0]
    links: list[Link] = [
        {"rel": "parent", "type": kind, "href": f"{base}/api/"},
        {"rel": QUERYABLES, "type": "application/schema+json", "href": f"{base}/api/collections/queryables"},
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
    predicate: Predicate | None
    after_rank: int | None
    with_picture: str | None
    token: str | None

    @property
    def all(self) -> bool:
        """Whether every picture of the sequence is asked for."""
        return self.ewkb is None and self.interval == ALWAYS and self.predicate is None


async def get_items(request: Request) -> Answer:
    """GET /api/collections/{id}/items: pictures by rank."""
    catalog, identifier = catalog_of(request), sequence_id(request)
    asked = joined(request.query_params.multi_items())
    params = _items_params(asked, catalog.settings.items_limit_max)
    bound = fingerprint("items", identifier, params.ewkb, params.interval, params.predicate)
    writer = catalog.writer(host_of(request))
    href = f"{writer.base}/collections/{identifier}/items"
    #: of each page that was asked for, whether there is one before it
    before: list[bool] = []

    async def ask(index: Index, limit: int, token: str | None) -> Page:
        page, has_before = await _page_of(index, identifier, params, bound, limit, token)
        before.append(has_before)
        return page

    def links(page: Page) -> list[Link]:
        return _items_links(href, asked, page, bound, has_before=before[0])

    return await answer_page(
        catalog, writer, ask, links, params.limit, params.token,
        fields=read_fields(asked.get("fields")),
    )  # fmt: skip


def _items_params(asked: dict[str, str], most: int) -> _ItemsParams:
    box = read_box(asked.get("bbox"))
    with_picture = asked.get("withPicture") or None
    if with_picture is not None and as_uuid(with_picture) is None:
        raise BadRequest("withPicture", with_picture, "is not a UUID")
    condition = asked.get("filter") or None
    return _ItemsParams(
        limit=read_limit(asked.get("limit"), most, most),
        ewkb=None if box is None else ewkb_of_box(box),
        interval=read_interval(asked.get("datetime")),
        predicate=None if condition is None else compile_filter(condition, asked.get("filter-lang") or None, PICTURES),
        after_rank=read_rank(asked.get("startAfterRank")),
        with_picture=with_picture,
        token=read_token(asked.get("token")),
    )


async def _page_of(
    index: Index, identifier: str, params: _ItemsParams, bound: str, limit: int, token: str | None
) -> tuple[Page, bool]:
    """A page, and whether there is one before it."""

    async def work(leaves: LeafSet) -> tuple[Page, bool]:
        copies = await index.fetch(query("catalog_sequence_leaves"), [identifier])
        if not copies:
            raise NotFound(f"there is no collection {identifier}")
        kind, start = await _start(index, copies, params, bound, limit, token)
        backwards = kind != "after"
        rows = await read_copies(
            index, leaves, copies, start, limit + 1, params.interval, params.ewkb,
            backwards=backwards, predicate=params.predicate,
        )  # fmt: skip
        more, rows = len(rows) > limit, rows[:limit]
        if backwards:
            rows.reverse()
        goes_on = kind == "before" or (kind == "after" and more)
        ends = rows[-1] if rows and goes_on else None
        following = write_token("after", bound, ends["rank"], ends["id"]) if ends is not None else None
        matched = sum(each["pictures"] for each in copies) if params.all else None
        has_before = more if backwards else token is not None or start.rank > 0
        return Page([(row, identifier) for row in rows], following, matched), has_before

    return await index.repeat(work)


async def _start(
    index: Index, copies: Sequence[Row], params: _ItemsParams, bound: str, limit: int, token: str | None
) -> tuple[str, RankPosition]:
    """Where the page begins, or, going back (before, last), where it ends."""
    if token is not None:
        types = (int, uuid.UUID)
        kind, position = open_token(token, bound, after=types, before=types, last=())
        rank, identifier = position or (RANK_MAX, LAST_ID)
        return kind, RankPosition(rank=rank, id=identifier)
    if params.after_rank is not None:
        return "after", RankPosition(rank=params.after_rank, id=LAST_ID)
    if params.with_picture is not None:
        numbers = [each["n"] for each in copies]
        rows = await index.fetch(query("catalog_rank_of"), params.with_picture, numbers)
        if not rows:
            raise BadRequest("withPicture", params.with_picture, "is not a picture of this collection")
        # pages as they are counted from the first rank
        rank = rows[0]["rank"]
        return "after", RankPosition(rank=(rank - 1) // limit * limit, id=LAST_ID)
    return "after", RankPosition(rank=RANK_MIN)


def _items_links(href: str, asked: dict[str, str], page: Page, bound: str, *, has_before: bool) -> list[Link]:
    kept = {k: v for k, v in asked.items() if k not in ("token", "startAfterRank", "withPicture")}
    kind = "application/geo+json"
    links: list[Link] = [
        {"rel": "parent", "type": "application/json", "href": href.removesuffix("/items")},
        {"rel": "collection", "type": "application/json", "href": href.removesuffix("/items")},
        {"rel": "self", "type": kind, "href": with_query(href, asked)},
        {"rel": "first", "type": kind, "href": with_query(href, kept)},
    ]
    turns = {"next": page.token}
    if has_before and page.pictures:
        row = page.pictures[0][0]
        turns["prev"] = write_token("before", bound, row["rank"], row["id"])
    if any(turns.values()):
        turns["last"] = write_token("last", bound)
    for rel, token in turns.items():
        if token is not None:
            links.append({"rel": rel, "type": kind, "href": with_query(href, kept | {"token": token})})
    return links
