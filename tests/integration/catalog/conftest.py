"""A catalog answering on a real socket of its own, above a fresh index that the test fills."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import asyncpg
import httpx2
import pytest
import uvicorn

from catalog_api.app import build_app
from catalog_api.serve import server_options
from catalog_api.state import Catalog, open_catalog
from federation.database import Role, connect, open_pool
from federation.settings import Settings, load_settings
from tests.catalog_factory import Factory, Serving
from tests.index_world import Index, index_settings


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
        async with (
            answering(app, settings) as base,
            httpx2.AsyncClient(base_url=base, timeout=20, verify=False) as client,
        ):
            yield client

    return serve


def overrides_dsn(settings: Settings, database: str) -> str:
    """Another database when the test names one."""
    return settings.database_url or database


@asynccontextmanager
async def answering(app: Any, settings: Settings) -> AsyncIterator[str]:
    """Run an ASGI application on a port of its own, as a worker does; yields its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    # asyncio sets it only for sockets made with the protocol's number: without it every small answer waits 40 ms
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, **server_options(settings))
    server, stop = uvicorn.Server(config), asyncio.Event()

    async def serve_until_stopped() -> None:
        # uvicorn looks every 0.1 s whether it shall stop
        await server.on_tick(0)
        await stop.wait()

    server.main_loop = serve_until_stopped  # type: ignore[method-assign]
    task = asyncio.create_task(server._serve([listener]))
    while not server.started:  # noqa: ASYNC110 (uvicorn offers nothing to wait for)
        await asyncio.sleep(0.002)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        # a client that has just gone is noticed first
        await asyncio.sleep(0.002)
        stop.set()
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


@pytest.fixture
async def index(database: str) -> AsyncIterator[Index]:
    """The index as the harvester writes it."""
    settings = index_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await connect(database, None, settings)
        stack.push_async_callback(admin.close)
        yield Index(database, admin, pool, settings, stack)
