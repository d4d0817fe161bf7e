"""One index and nobody harvested into it yet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from federation.database import Role, open_pool
from tests.harvest_world import World, harvest_settings


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)
