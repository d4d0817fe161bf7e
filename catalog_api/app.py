"""The catalog as an ASGI application: routes, and what a worker opens when it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog_api import home, instances, items, pictures, sequences
from catalog_api.endpoint import Endpoint, deliver
from catalog_api.responses import error_answer
from catalog_api.state import open_catalog
from federation.settings import Settings


def routes() -> list[BaseRoute]:
    """Every path there is, those asked for most first. Trailing slashes are gone when a path is compared."""
    picture = Endpoint(GET=pictures.get_picture)
    return [
        Route("/api/collections/{sequence}/items/{picture}", picture),
        Route("/api/search", Endpoint(GET=items.get_search, POST=items.post_search)),
        Route("/api/pictures/{picture}", picture),
        Route("/api/pictures/{picture}/{size}.jpg", Endpoint(GET=pictures.get_file)),
        Route("/api/collections/{sequence}/items", Endpoint(GET=sequences.get_items)),
        Route("/api/collections/{sequence}/thumb.jpg", Endpoint(GET=pictures.get_thumbnail)),
        Route("/api/collections/{sequence}", Endpoint(GET=sequences.get_sequence)),
        Route("/api/collections", Endpoint(GET=sequences.get_sequences)),
        Route("/api/live", Endpoint(GET=instances.get_live)),
        Route("/api/instances", Endpoint(GET=instances.get_instances)),
        Route("/api/instances/{name}", Endpoint(GET=instances.get_instance)),
        Route("/api/conformance", Endpoint(GET=instances.get_conformance)),
        Route("/api/configuration", Endpoint(GET=instances.get_configuration)),
        Route("/api", Endpoint(GET=instances.get_landing)),
        Route("/", Endpoint(GET=home.get_home)),
    ]


def build_app(settings: Settings, dsn: str) -> ASGIApp:
    """The application for one worker. `dsn` is where the index is read; it need not answer yet."""

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[Mapping[str, Any]]:
        async with open_catalog(settings, dsn) as catalog:
            yield {"catalog": catalog}

    router = Router(routes(), redirect_slashes=False, default=_nothing_here, lifespan=lifespan)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            if path.endswith("/") and path != "/":
                scope["path"] = path.rstrip("/") or "/"
        await router(scope, receive, send)

    return app


async def _nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await deliver(error_answer(404, f"there is nothing at {scope['path'][:200]!r}"), scope, send)
