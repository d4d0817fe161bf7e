"""Endpoints of sequences: the list, one of them, its pictures by rank, its thumbnail."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

import orjson
from starlette.requests import Request

from catalog_api.index import Index
from catalog_api.items import catalog_of, host_of
from catalog_api.nearness import ZERO_ID
from catalog_api.pages import Link, answer_page
from catalog_api.params import (
    Interval,
    as_uuid,
    read_box,
    read_interval,
    read_limit,
    read_rank,
    read_token,
)
from catalog_api.responses import Answer, BadRequest, NotFound
from catalog_api.search import Page, ewkb_of_box
from catalog_api.tokens import fingerprint, write_token
from catalog_api.tokens import read_token as open_token
from catalog_api.walks import RANK_MIN, RankPosition, read_sequence
from federation.cells import Box
from federation.database import Row
from federation.leaves import LeafSet
from federation.queries import query

_LIMIT_DEFAULT = 100
_DISTANT_PAST = datetime(1, 1, 1, tzinfo=UTC)
_DISTANT_FUTURE = datetime(9999, 12, 31, tzinfo=UTC)
_LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_RANK_MAX = 2**31 - 1


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _ListParams:
    limit: int
    box: Box | None
    ewkb: bytes | None
    interval: Interval
    newest_first: bool
    token: str | None
    request: str


async def get_sequences(request: Request) -> Answer:
    """GET /api/collections: by the time this catalog learnt of them, then id."""
    catalog = catalog_of(request)
    params = _list_params(dict(request.query_params), catalog.settings.collections_limit_max)
    kind, position = "after", (_DISTANT_PAST, ZERO_ID)
    if params.newest_first:
        position = (_DISTANT_FUTURE, _LAST_ID)
    if params.token is not None:
        types = (datetime, uuid.UUID)
        kind, position = open_token(params.token, params.request, after=types, before=types)
    upwards = (kind == "after") is not params.newest_first
    statement = query("catalog_sequences" if upwards else "catalog_sequences_before")
    interval = params.interval
    rows = await catalog.index.fetch(
        statement, *position, params.limit + 1, params.ewkb, interval.start, interval.end, *_box_numbers(params.box)
    )
    more = len(rows) > params.limit
    rows = rows[: params.limit]
    if kind == "before":
        rows.reverse()
    await catalog.registry.prepare(rows)
    writer = catalog.writer(host_of(request))
    turns = _turns(rows, params, kind, more)
    links = _list_links(f"{writer.base}/collections", dict(request.query_params), turns)
    body = b'{"collections":[%b],"links":[%b],"numberReturned":%d}' % (
        b",".join(map(writer.collection, rows)),
        b",".join([writer.root, *map(orjson.dumps, links)]),
        len(rows),
    )
    return Answer(body=body)


def _list_params(asked: dict[str, str], most: int) -> _ListParams:
    box = read_box(asked.get("bbox"))
    sortby = asked.get("sortby", "").strip() or "+panofed:indexed"
    if sortby not in ("panofed:indexed", "+panofed:indexed", "-panofed:indexed"):
        raise BadRequest("sortby", sortby, "only panofed:indexed, + or - before it, can be sorted by")
    ewkb = None if box is None else ewkb_of_box(box)
    interval = read_interval(asked.get("datetime"))
    return _ListParams(
        limit=read_limit(asked.get("limit"), _LIMIT_DEFAULT, most),
        box=box,
        ewkb=ewkb,
        interval=interval,
        newest_first=sortby.startswith("-"),
        token=read_token(asked.get("token")),
        request=fingerprint("collections", ewkb, interval, sortby.startswith("-")),
    )


def _box_numbers(box: Box | None) -> tuple[object, ...]:
    if box is None:
        return None, None, None, None
    return [part.west for part in box.parts()], [part.east for part in box.parts()], box.south, box.north


def _turns(rows: list[Row], params: _ListParams, kind: str, more: bool) -> dict[str, str]:
    """Tokens of the pages around this one."""
    if not rows:
        return {}
    turns = {}
    first, last = ((row["indexed"].isoformat(), row["id"]) for row in (rows[0], rows[-1]))
    if more or kind == "before":
        turns["next"] = write_token("after", params.request, *last)
    if (kind == "before" and more) or (kind == "after" and params.token is not None):
        turns["prev"] = write_token("before", params.request, *first)
    return turns


def _list_links(href: str, asked: dict[str, str], turns: dict[str, str]) -> list[Link]:
    kept = {name: value for name, value in asked.items() if name != "token"}
    links: list[Link] = [
        {"rel": "parent", "type": "application/json", "href": href.removesuffix("collections")},
        {"rel": "self", "type": "application/json", "href": _with_query(href, asked)},
        {"rel": "first", "type": "application/json", "href": _with_query(href, kept)},
    ]
    for rel, token in turns.items():
        links.append({"rel": rel, "type": "application/json", "href": _with_query(href, kept | {"token": token})})
    return links


def _with_query(href: str, asked: dict[str, str]) -> str:
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

    return await answer_page(catalog, writer, ask, links, params.limit, params.token)


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
        {"rel": "self", "type": kind, "href": _with_query(href, asked)},
        {"rel": "first", "type": kind, "href": _with_query(href, kept)},
    ]
    if page.token is not None:
        links.append({"rel": "next", "type": kind, "href": _with_query(href, kept | {"token": page.token})})
    if not first and page.pictures:
        row = page.pictures[0][0]
        token = write_token("before", bound, row["rank"], row["id"])
        links.append({"rel": "prev", "type": kind, "href": _with_query(href, kept | {"token": token})})
    return links
