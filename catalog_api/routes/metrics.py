"""The endpoint that Prometheus asks, and the sharing of figures between workers that lets any one of them answer."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from ipaddress import ip_address

from starlette.requests import Request

from catalog_api.edge.forwarded import is_forwarded
from catalog_api.edge.responses import Answer, error_answer
from catalog_api.state import Catalog, catalog_of
from catalog_api.watch.metric_families import MEDIA_TYPE, exposition
from catalog_api.watch.watched import Stored
from federation.errors import DatabaseError

#: How often a worker writes its figures for the others.
_SHARE_EVERY_S = 1.0


async def get_metrics(request: Request) -> Answer:
    """GET /metrics: for this machine, or with the token of the settings."""
    catalog = catalog_of(request)
    refused = _refusal(request, catalog.settings.metrics_token)
    if refused is not None:
        return refused
    try:
        stored: Stored | None = await catalog.watched.get()
    except DatabaseError:
        # the workers' own figures are wanted most when it is away
        stored = None
    workers = catalog.tally.share(gauges(catalog))
    return Answer(body=exposition(workers, stored), media_type=MEDIA_TYPE, cache=b"no-store")


def _refusal(request: Request, token: str) -> Answer | None:
    if token:
        sent = request.headers.get("authorization", "")
        if secrets.compare_digest(sent.encode(), f"Bearer {token}".encode()):
            return None
        return error_answer(401, "metrics need a token", headers=[(b"www-authenticate", b'Bearer realm="metrics"')])
    if _is_loopback(request.scope["client_address"]) and not is_forwarded(request.scope["headers"]):
        return None
    return error_answer(403, "metrics are told to this machine only, or with a token: PANOFED_METRICS_TOKEN")


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


@asynccontextmanager
async def telling(catalog: Catalog) -> AsyncIterator[None]:
    """Share this worker's figures with the others until it ends, and once more then."""
    task = asyncio.create_task(_tell(catalog))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        catalog.tally.share(gauges(catalog))


async def _tell(catalog: Catalog) -> None:
    while True:
        asleep = time.monotonic()
        await asyncio.sleep(_SHARE_EVERY_S)
        catalog.tally.loop_lag_s = max(0.0, time.monotonic() - asleep - _SHARE_EVERY_S)
        catalog.tally.share(gauges(catalog))


def gauges(catalog: Catalog) -> dict[str, float]:
    """What one worker is like at this moment."""
    leaves = catalog.index.known
    return (
        catalog.connections.gauges()
        | catalog.tiles.gauges()
        | {
            "large_answers": catalog.settings.large_answers_at_once - catalog.large_answers._value,
            "loop_lag_seconds": catalog.tally.loop_lag_s,
            "cached_leaves": 0 if leaves is None else len(leaves.cells),
            "cached_leaf_set_version": 0 if leaves is None else leaves.version,
            "cached_instances": len(catalog.registry.instances),
            "cached_dictionaries": catalog.registry.unpacker.dictionaries,
        }
    )
