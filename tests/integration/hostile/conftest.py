"""One index, an honest instance and a hostile one, harvested at the same time; no packet leaves this machine."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import asyncpg
import pytest

from federation.database import Role, open_pool
from tests.harvest_world import World, harvest_settings
from tests.hostile import HostileServer


@pytest.fixture(autouse=True)
def connected(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every address that a socket was connected to; should the guard ever fail, it fails here, and nothing leaves."""
    connect, addresses = socket.socket.connect, []

    def checked(sock: socket.socket, address: tuple[str, int] | str) -> None:
        if sock.family != socket.AF_UNIX:  # the tests' own database
            assert address[0] in ("127.0.0.1", "::1"), f"the guard let {address[0]} through"
            addresses.append(f"{address[0]}:{address[1]}")
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", checked)
    return addresses


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    settings = harvest_settings()
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(database, Role.WRITER, settings))
        admin = await asyncpg.connect(database)
        stack.push_async_callback(admin.close)
        yield World(dsn=database, pool=pool, admin=admin, settings=settings, stack=stack)


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with HostileServer() as running:
        yield running
