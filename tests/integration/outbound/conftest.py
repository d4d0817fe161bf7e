"""A server that misbehaves, and sessions towards it with time-outs short enough to wait for."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest

from federation.outbound import OriginSession
from federation.settings import Settings
from tests.hostile import HostileServer, local_settings


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the guard ever fail, its test fails here, and still nothing leaves this machine."""
    connect = socket.socket.connect

    def checked(sock: socket.socket, address: tuple[str, int]) -> None:
        if sock.family == socket.AF_UNIX:  # the tests' own database
            connect(sock, address)
            return
        assert address[0] in ("127.0.0.1", "::1"), f"the guard let {address[0]} through"
        connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", checked)


@pytest.fixture
async def server() -> AsyncIterator[HostileServer]:
    async with HostileServer() as running:
        yield running


@pytest.fixture
def settings() -> Settings:
    return local_settings()


@pytest.fixture
def origin(server: HostileServer, settings: Settings) -> OriginSession:
    """A session to the server, not entered yet."""
    return OriginSession(settings, server.url, instance="hostile", requests_per_s=0)
