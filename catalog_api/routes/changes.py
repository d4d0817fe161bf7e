"""GET /api/changes: what changed since a token; at once, as soon as there is something, or as a stream of events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import orjson
from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import JSON, Answer, BadRequest, TooBusy, error_answer
from catalog_api.index.feed import (
    Changes,
    FeedForgotten,
    Position,
    Token,
    TokenRefused,
    read_changes,
    read_head,
    read_token,
    write_token,
)
from catalog_api.query.params import read_limit
from catalog_api.routes.exports import current_manifest
from catalog_api.state import Catalog, catalog_of
from federation.database import Row
from federation.settings import Settings

_LIMIT_DEFAULT = 1_000
_EVENTS = b"text/event-stream"
_NO_STORE = b"no-store"
#: Between two looks for a waiting client, and for whether it is still there.
_LOOK_S = 0.5
#: Proxies drop connections on which nothing moves, most after 30 or 60 s.
_HEARTBEAT_S = 15.0
#: How long an EventSource waits before it connects again.
_RECONNECT_MS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Params:
    since: Token | None
    limit: int
    wait_s: float
    events: bool


async def get_changes(request: Request) -> Answer:
    """GET /api/changes."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base
    fetch = catalog.index.fetch
    asked = dict(request.query_params)
    now = asked.get("since") == "now" and "last-event-id" not in request.headers
    try:
        params = _read_params(request, asked, catalog.settings)
        if now:
            head = await read_head(fetch)
            found = Changes(epoch=head.epoch, rows=[], end=head.position)
        else:
            found = await read_changes(fetch, params.since, params.limit)
        if params.events:
            return _event_stream(request, catalog, params.limit, found)
        if params.wait_s and not found.rows:
            found = await _wait(request, catalog, params, found)
    except FeedForgotten as error:
        return await _gone(catalog, base, error)
    return _page(base, asked, found, params.limit, once=params.wait_s > 0 or now)


def _read_params(request: Request, asked: dict[str, str], settings: Settings) -> _Params:
    form = asked.get("format", "")
    if form not in ("", "json", "sse"):
        raise BadRequest("format", form, "is neither json nor sse")
    last = request.headers.get("last-event-id", "")
    given = last or asked.get("since", "")
    since = None
    if given and given != "now":
        try:
            since = read_token(given)
        except TokenRefused as error:
            raise BadRequest("Last-Event-ID" if last else "since", given, "is not a token of this feed") from error
    most = settings.changes_limit_max
    accepts = "text/event-stream" in request.headers.get("accept", "")
    return _Params(
        since=since,
        limit=read_limit(asked.get("limit"), min(_LIMIT_DEFAULT, most), most),
        wait_s=_read_wait(asked.get("wait"), settings.changes_wait_max_s),
        events=form == "sse" or (form == "" and accepts),
    )


def _read_wait(value: str | None, most_s: float) -> float:
    if value is None or value == "":
        return 0.0
    try:
        wait_s = float(value)
    except ValueError as error:
        raise BadRequest("wait", value, "is not a number of seconds") from error
    if not 0 <= wait_s <= most_s:
        raise BadRequest("wait", value, f"is outside 0..{most_s:g}")
    return wait_s


def _page(base: str, asked: dict[str, str], found: Changes, limit: int, *, once: bool) -> Answer:
    """`once`: this answer is of this moment, and nobody keeps it."""
    href = f"{base}/changes"
    following = urlencode({name: value for name, value in asked.items() if name != "since"} | {"since": found.token})
    body = {
        "changes": [_change(row) for row in found.rows],
        "next": found.token,
        "more": len(found.rows) == limit,
        "numberReturned": len(found.rows),
        "links": [
            {"rel": "self", "type": "application/json", "href": f"{href}?{urlencode(asked)}" if asked else href},
            {"rel": "next", "type": "application/json", "href": f"{href}?{following}"},
        ],
    }
    answer = Answer(body=orjson.dumps(body), media_type=JSON)
    return replace(answer, cache=_NO_STORE) if once else answer


def _change(row: Row) -> dict[str, Any]:
    """One change; boxes are left out where there is none. `instance` is null once it is not registered any more."""
    change: dict[str, Any] = {"collection": str(row["sequence"]), "kind": row["kind"], "at": row["at"]}
    if row["instance"] is not None:
        change["instance"] = {"id": row["instance"], "name": row["name"]}
    for name in ("bbox_before", "bbox_after"):
        if row[name] is not None:
            change[name] = row[name]
    return change


async def _wait(request: Request, catalog: Catalog, params: _Params, found: Changes) -> Changes:
    """The first changes that come within the time, or what was found."""
    if catalog.waiting.locked():
        raise TooBusy("too many clients wait for changes already: come again, or ask without wait")
    deadline = time.monotonic() + params.wait_s
    token = Token(found.epoch, found.end)
    async with catalog.waiting:
        while not found.rows and time.monotonic() < deadline and not await request.is_disconnected():
            await asyncio.sleep(min(_LOOK_S, max(0.0, deadline - time.monotonic())))
            if await catalog.latest_change.beyond(catalog.index.fetch, token):
                found = await read_changes(catalog.index.fetch, token, params.limit)
    return found


def _event_stream(request: Request, catalog: Catalog, limit: int, found: Changes) -> Answer:
    if catalog.waiting.locked():
        raise TooBusy("too many clients follow the changes already: come again, or ask without events")
    headers = [(b"x-accel-buffering", b"no")]
    chunks = _events(request, catalog, limit, found)
    return Answer(chunks=chunks, media_type=_EVENTS, cache=_NO_STORE, headers=headers, plain=True)


async def _events(request: Request, catalog: Catalog, limit: int, found: Changes) -> AsyncIterator[bytes]:
    async with catalog.waiting:
        # an id before the first change: who is cut off now goes on from here
        yield b"retry: %d\nid: %b\n\n" % (_RECONNECT_MS, found.token.encode())
        spoke, token = time.monotonic(), Token(found.epoch, found.end)
        while True:
            if found.rows:
                yield b"".join(_event(found.epoch, row) for row in found.rows)
                spoke = time.monotonic()
            if len(found.rows) < limit:
                await asyncio.sleep(_LOOK_S)
            if await request.is_disconnected():
                return
            if time.monotonic() - spoke > _HEARTBEAT_S:
                yield b": still here\n\n"
                spoke = time.monotonic()
            try:
                found = await _further(catalog, token, limit)
            except FeedForgotten as error:
                yield b"event: gone\ndata: %b\n\n" % orjson.dumps({"status": 410, "message": str(error)})
                return
            token = Token(found.epoch, found.end)


async def _further(catalog: Catalog, token: Token, limit: int) -> Changes:
    if not await catalog.latest_change.beyond(catalog.index.fetch, token):
        return Changes(epoch=token.epoch, rows=[], end=token.position)
    return await read_changes(catalog.index.fetch, token, limit)


def _event(epoch: str, row: Row) -> bytes:
    token = write_token(Token(epoch, Position(int(row["xid"]), row["n"])))
    return b"event: change\nid: %b\ndata: %b\n\n" % (token.encode(), orjson.dumps(_change(row)))


async def _gone(catalog: Catalog, base: str, error: FeedForgotten) -> Answer:
    """410 with the ways back: an export whose own token still holds, else everything by the API, then on from now."""
    now = await read_head(catalog.index.fetch)
    details: dict[str, Any] = {
        "now": write_token(now),
        "collections": f"{base}/collections?sortby=panofed:indexed",
        "how": "keep `now`; read what is there from an export or by the collections; then follow from the export's own "
        "token, or from `now`",
    }
    manifest = await asyncio.to_thread(current_manifest, catalog.settings)
    if manifest is not None and await _holds(catalog, manifest["token"]):
        details["export"] = {"href": f"{base}/exports/manifest.json", "token": manifest["token"]}
    return error_answer(410, str(error), details)


async def _holds(catalog: Catalog, token: str) -> bool:
    try:
        await read_changes(catalog.index.fetch, read_token(token), 1)
    except (FeedForgotten, TokenRefused):
        return False
    return True
