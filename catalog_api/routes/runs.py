"""Visits under way, as JSON and as events, and past ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import orjson
from starlette.requests import Request

from catalog_api.answers.health import run_of
from catalog_api.edge.responses import Answer, TooBusy, json_answer
from catalog_api.index.visits import find_run, read_number
from catalog_api.query.params import read_limit
from catalog_api.state import Catalog, catalog_of
from federation.queries import query

_NO_STORE = b"no-store"
_EVENTS = b"text/event-stream"
_LOOK_S = 1.0
#: Proxies drop connections on which nothing moves, most after 30 or 60 s.
_HEARTBEAT_S = 15.0
_RECONNECT_MS = 5_000
_RUNS_DEFAULT, _RUNS_MAX = 50, 500


async def get_runs(request: Request) -> Answer:
    """GET /api/runs: visits under way; with `instance` the past ones of it, too."""
    catalog, asked = catalog_of(request), request.query_params
    limit = read_limit(asked.get("limit"), _RUNS_DEFAULT, _RUNS_MAX)
    name = asked.get("instance")
    if not name:
        running = await catalog.visits.running.get()
        return json_answer({"runs": [run_of(run) for run in running[:limit]]}, cache=_NO_STORE)
    number = (await catalog.health.one(name)).row["n"]
    before = read_number("before", asked["before"]) if asked.get("before") else None
    rows = await catalog.index.fetch(query("catalog_runs"), number, before, limit)
    following = rows[-1]["n"] if len(rows) == limit else None
    return json_answer({"runs": [run_of(run) for run in rows], "before": following}, cache=_NO_STORE)


async def get_run(request: Request) -> Answer:
    """GET /api/runs/{n}."""
    return json_answer(run_of(await find_run(catalog_of(request).index, request.path_params["n"])), cache=_NO_STORE)


async def get_run_events(request: Request) -> Answer:
    """GET /api/runs/events: visits under way and the states of instances whenever they change, as events."""
    catalog = catalog_of(request)
    if catalog.waiting.locked():
        raise TooBusy("too many clients follow what is going on already: come again")
    headers = [(b"x-accel-buffering", b"no")]
    return Answer(chunks=_events(request, catalog), media_type=_EVENTS, cache=_NO_STORE, headers=headers, plain=True)


async def _events(request: Request, catalog: Catalog) -> AsyncIterator[bytes]:
    """`runs`: all visits under way; `states`: those of every instance; `happened`: the number of the latest event.

    Each at first, and then when it is another.
    """
    told: dict[str, bytes] = {}
    spoke = time.monotonic()
    async with catalog.waiting:
        yield b"retry: %d\n\n" % _RECONNECT_MS
        while not await request.is_disconnected():
            for name, tell in _TOLD.items():
                data = await tell(catalog)
                if told.get(name) != data:
                    told[name], spoke = data, time.monotonic()
                    yield b"event: %b\ndata: %b\n\n" % (name.encode(), data)
            if time.monotonic() - spoke > _HEARTBEAT_S:
                yield b": still here\n\n"
                spoke = time.monotonic()
            await asyncio.sleep(_LOOK_S)


async def _runs(catalog: Catalog) -> bytes:
    return orjson.dumps([run_of(run) for run in await catalog.visits.running.get()])


async def _states(catalog: Catalog) -> bytes:
    states = await catalog.health.states.get()
    return orjson.dumps({row["id"]: row["judged"] for row in states.values()})


async def _happened(catalog: Catalog) -> bytes:
    return b"%d" % await catalog.visits.latest_event.get()


#: What the stream tells, in this order.
_TOLD: dict[str, Callable[[Catalog], Awaitable[bytes]]] = {"runs": _runs, "states": _states, "happened": _happened}
