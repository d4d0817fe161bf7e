"""A catalog answering on a real socket of its own, above a fresh index that the test fills."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
import uvicorn

from catalog_api.app import build_app
from catalog_api.state import Catalog, open_catalog
from federation.settings import Settings, load_settings
from tests.catalog_factory import Factory, Serving


@pytest.fixture
async def factory(database: str) -> AsyncIterator[Factory]:
    connection = await asyncpg.connect(database)
    await connection.set_type_codec("geometry", encoder=bytes, decoder=bytes, format="binary", schema="public")
    try:
        yield Factory(connection=connection)
    finally:
        await connection.close()


@pytest.fixture
def serving(database: str) -> Serving:
    """Serves with settings of the test's choice."""

    @asynccontextmanager
    async def serve(**overrides: Any) -> AsyncIterator[httpx2.AsyncClient]:
        settings: Settings = load_settings(**({"pool_size": 4} | overrides))
        app = build_app(settings, overrides_dsn(settings, database))
        async with answering(app) as base, httpx2.AsyncClient(base_url=base, timeout=20) as client:
            yield client

    return serve


def overrides_dsn(settings: Settings, database: str) -> str:
    """Another database when the test names one."""
    return settings.database_url or database


@asynccontextmanager
async def answering(app: Any) -> AsyncIterator[str]:
    """Run an ASGI application on a port of its own; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, lifespan="on", log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:  # noqa: ASYNC110 (uvicorn offers nothing to wait for)
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listener.close()


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving() as client:
        yield client


@pytest.fixture
async def catalog(database: str) -> AsyncIterator[Catalog]:
    """The state of a worker, without its web server."""
    async with open_catalog(load_settings(pool_size=2), database) as catalog:
        yield catalog
