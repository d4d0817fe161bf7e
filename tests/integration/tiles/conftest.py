"""A catalog answering on a socket, above an index that is written as the harvester writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from catalog_api.app import build_app
from federation.database import Role, connect, open_pool
from federation.settings import load_settings
from tests.index_world import Index, index_settings
from tests.integration.catalog.conftest import answering
from tests.tile_world import Cartographer, Serving


@pytest.fixture
async def index(database: str) -> AsyncIterator[Index]:
    settings = index_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await connect(database, None, settings)
        stack.push_async_callback(admin.close)
        yield Index(database, admin, pool, settings, stack)


@pytest.fixture
async def map(index: Index) -> Cartographer:
    return Cartographer(await index.writer(), index.admin)


@pytest.fixture
def serving(database: str, tmp_path: Path) -> Serving:
    @asynccontextmanager
    async def serve(**overrides: Any) -> AsyncIterator[httpx2.AsyncClient]:
        settings = load_settings(**({"pool_size": 4, "data_dir": tmp_path / "data"} | overrides))
        async with (
            answering(build_app(settings, database), settings) as base,
            httpx2.AsyncClient(base_url=base, timeout=30, verify=False) as client,
        ):
            yield client

    return serve


@pytest.fixture
async def client(serving: Serving) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving() as client:
        yield client
