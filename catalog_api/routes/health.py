"""Endpoints for who watches: alive (the database answers), and ready (requests may be sent to this worker)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request

from catalog_api.edge.responses import Answer, error_answer, json_answer
from catalog_api.state import Catalog, catalog_of
from federation.database import check_schema, explained
from federation.errors import PanofedError
from federation.leaves import LeafSet
from federation.queries import query

_NO_STORE = b"no-store"
_RETRY_AFTER_S = b"5"
#: One check may take this long: who asks has a time limit of its own.
_CHECK_S = 2.0


async def get_live(request: Request) -> Answer:
    """GET /api/live: 200 when the database answers."""
    await catalog_of(request).index.fetch(query("catalog_alive"))
    return json_answer({"status": "ok"}, cache=_NO_STORE)


async def get_ready(request: Request) -> Answer:
    """GET /api/ready: 200 when this worker can do its work; else 503 with each reason."""
    catalog = catalog_of(request)
    reasons = {}
    for name, check in CHECKS.items():
        try:
            async with asyncio.timeout(_CHECK_S):
                await check(catalog)
        except PanofedError as error:
            reasons[name] = str(error)
        except TimeoutError:
            reasons[name] = (
                f"{name}: no answer of the database within {_CHECK_S:g} s: it is away, or the pool is used up"
            )
    if not reasons:
        return json_answer({"status": "ok", "checks": list(CHECKS)}, cache=_NO_STORE)
    return error_answer(503, "; ".join(reasons.values()), reasons, [(b"retry-after", _RETRY_AFTER_S)])


async def _is_staying(catalog: Catalog) -> None:
    if catalog.slot.stopping:
        raise PanofedError("the catalog is about to stop")


async def _has_schema(catalog: Catalog) -> None:
    async with catalog.connections.use() as connection, explained("reading the schema's version"):
        await check_schema(connection)


async def _has_leaves(catalog: Catalog) -> None:
    """The set of leaves is in memory, or can be read."""

    async def nothing(_: LeafSet) -> None:
        return None

    await catalog.index.repeat(nothing)


#: What is checked, in this order.
CHECKS: Mapping[str, Callable[[Catalog], Awaitable[None]]] = {
    "staying": _is_staying,
    "schema": _has_schema,
    "leaves": _has_leaves,
}
