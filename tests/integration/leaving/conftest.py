"""An index that is harvested from instances in memory, and a catalog that answers from it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest

from catalog_api.app import build_app
from federation.database import Role, open_pool
from federation.settings import load_settings
from tests.harvest_world import World, harvest_settings
from tests.integration.catalog.conftest import answering
from tests.tile_world import Serving


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)


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
