"""Checks of an instance's API: asked for, shown, and followed step by step."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from starlette.requests import Request

from catalog_api.answers.checks import (
    NO_WORKER_S,
    address_of,
    describe,
    describe_step,
    find_check,
    hasty,
    links,
    must_be_open,
    too_often,
)
from catalog_api.edge.bodies import read_body
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, TooBusy, json_answer
from catalog_api.state import Catalog, catalog_of
from federation.check_words import LANGUAGES, CheckWords, check_words
from federation.checks import Check, Step, ask_check
from federation.errors import CheckRefused

_BODY_MAX_BYTES = 20_000
_NO_STORE = b"no-store"
_EVENTS = b"text/event-stream"
_LOOK_S = 0.3
_HEARTBEAT_S = 15.0
_RECONNECT_MS = 3_000
#: A check that no worker ends is not followed for ever.
_FOLLOWED_S = 900.0


async def post_check(request: Request) -> Answer:
    """POST /api/instances/check, with {"url": ...}."""
    catalog = catalog_of(request)
    must_be_open(catalog)
    url = address_of((await read_members(request)).get("url"))
    refused = too_often(request)
    if refused is not None:
        return refused
    try:
        async with catalog.operators.use() as connection:
            check = await ask_check(connection, url, catalog.settings)
    except CheckRefused as error:
        return hasty(error)
    href = f"{catalog.writer(host_of(request)).base}/instances/checks/{check}"
    body = orjson.dumps({"id": str(check), "url": url, "links": links(href)})
    return Answer(body=body, status=202, cache=_NO_STORE, headers=[(b"location", href.encode())])


async def get_check(request: Request) -> Answer:
    """GET /api/instances/checks/{check}."""
    found = await find_check(catalog_of(request), request.path_params["check"])
    href = f"{catalog_of(request).writer(host_of(request)).base}/instances/checks/{found.id}"
    told = describe(found, check_words(language(request)))
    return json_answer(told | {"links": links(href)}, cache=_NO_STORE)


async def get_events(request: Request) -> Answer:
    """GET /api/instances/checks/{check}/events: each step as it begins and ends, as server-sent events."""
    catalog = catalog_of(request)
    found = await find_check(catalog, request.path_params["check"])
    if catalog.waiting.locked():
        raise TooBusy("too many clients follow something already: come again, or ask without events")
    chunks = _events(request, catalog, found, check_words(language(request)))
    headers = [(b"x-accel-buffering", b"no")]
    return Answer(chunks=chunks, media_type=_EVENTS, cache=_NO_STORE, headers=headers, plain=True)


async def _events(request: Request, catalog: Catalog, found: Check, words: CheckWords) -> AsyncIterator[bytes]:
    """Whoever connects gets every step so far; a check that another worker begins anew starts over."""
    async with catalog.waiting:
        yield b"retry: %d\n\n" % _RECONNECT_MS
        told: dict[int, Step] = {}
        begun = spoke = time.monotonic()
        warned = False
        while True:
            events, told = _news(found, told, words)
            if not warned and found.waiting_s > NO_WORKER_S:
                events, warned = events + _event("waiting", {"waiting_s": round(found.waiting_s)}), True
            if events:
                yield events
                spoke = time.monotonic()
            if found.ended_at is not None:
                yield _event("end", {"outcome": found.outcome})
                return
            if time.monotonic() - begun > _FOLLOWED_S or await request.is_disconnected():
                return
            if time.monotonic() - spoke > _HEARTBEAT_S:
                yield b": still here\n\n"
                spoke = time.monotonic()
            await asyncio.sleep(_LOOK_S)
            found = await find_check(catalog, str(found.id))


def _news(found: Check, told: Mapping[int, Step], words: CheckWords) -> tuple[bytes, dict[int, Step]]:
    """What is new since the steps that were told, and those told then."""
    events, now = b"", {step.number: step for step in found.steps}
    if not told.keys() <= now.keys():
        events, told = _event("again", {}), {}
    changed = [step for number, step in now.items() if told.get(number) != step]
    return events + b"".join(_event("step", describe_step(step, words)) for step in changed), now


def _event(name: str, data: Mapping[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(data))


def language(request: Request) -> str:
    """The language asked for; BadRequest for one that there is not."""
    asked = request.query_params.get("lang", LANGUAGES[0])
    if asked not in LANGUAGES:
        raise BadRequest("lang", asked, f"is none of {', '.join(LANGUAGES)}")
    return asked


async def read_members(request: Request) -> Mapping[str, object]:
    """The members of a JSON object that was sent; BadRequest when it is none."""
    body = await read_body(request, _BODY_MAX_BYTES)
    try:
        members = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError as error:
        raise BadRequest("body", body.decode(errors="replace"), f"is no JSON: {error}") from error
    if not isinstance(members, dict):
        raise BadRequest("body", body.decode(errors="replace"), "is no JSON object")
    return members
