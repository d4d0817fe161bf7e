"""An empty index."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from federation.database import Role, open_pool
from tests.index_world import Index, index_settings


@pytest.fixture
async def index(database: str) -> AsyncIterator[Index]:
    settings = index_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield Index(database, admin, pool, settings, stack)
