"""A look at an address as a browser has it, and at a certificate: behind the same guard, and nothing is read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from federation.errors import AddressRefused, OriginMalformed, OriginUnreachable, Unreachable
from federation.outbound import OriginSession
from federation.outbound_tls import _context, certificate_until
from federation.settings import Settings
from tests.hostile import HostileServer, answer, endless, impatient, local_settings, raw, redirect
from tests.integration.outbound.test_outbound_guard import Names, tls

US = "https://catalog.example"


@pytest.mark.parametrize(
    ("header", "opened"), [("*", True), (US, True), ("https://other.example", False), ("null", False), (None, False)]
)
async def test_what_a_browser_is_told(header: str | None, opened: bool) -> None:
    async with HostileServer() as server:
        headers = {} if header is None else {"Access-Control-Allow-Origin": header}
        server.on("/a", answer(b"x", status=404, headers=headers))
        async with OriginSession(local_settings(), server.url) as session:
            seen = await session.glance("/a", origin=US)
            assert (seen.status, seen.is_open_to(US)) == (404, opened)
            assert session.requests == 1
        assert server.requests[0].headers["origin"] == US


async def test_no_body_is_read_and_no_redirect_followed() -> None:
    async with HostileServer() as server:
        server.on("/a", endless())
        server.on("/b", redirect("http://10.0.0.1/"))
        async with OriginSession(impatient(), server.url) as session:
            assert (await session.glance("/a", origin=US)).status == 200
            assert (await session.glance("/b", origin=US)).headers["location"] == "http://10.0.0.1/"
            assert session.received_bytes == 0


async def test_faults_are_ours() -> None:
    async with HostileServer() as server:
        server.on("/a", raw(b"SSH-2.0\r\n", then="close"))
        async with OriginSession(local_settings(), server.url) as session:
            with pytest.raises(OriginMalformed):
                await session.glance("/a", origin=US)
            with pytest.raises(AddressRefused):
                await session.glance("https://elsewhere.example.org/a", origin=US)
    async with OriginSession(local_settings(), server.url) as session:
        with pytest.raises(OriginUnreachable):
            await session.glance("/a", origin=US)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[trustme.CA]:
    """One that this process trusts for the time of a test."""
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    _context.cache_clear()
    yield made
    _context.cache_clear()


def ending(authority: trustme.CA, when: datetime) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", not_after=when).configure_cert(context)
    return context


async def test_the_end_of_a_certificate(authority: trustme.CA) -> None:
    end = (datetime.now(UTC) + timedelta(days=9)).replace(microsecond=0)
    async with HostileServer(tls=ending(authority, end)) as server:
        assert await certificate_until(local_settings(), server.url) == end
        assert server.requests == [], "nothing is asked"


async def test_a_certificate_that_is_not_accepted(authority: trustme.CA) -> None:
    gone = datetime.now(UTC) - timedelta(days=1)
    for context in (ending(authority, gone), tls(authority, "other.example.org"), tls(trustme.CA(), "127.0.0.1")):
        async with HostileServer(tls=context) as server:
            with pytest.raises(OriginUnreachable, match=r"^TLS: ") as caught:
                await certificate_until(local_settings(), server.url)
            assert caught.value.kind is Unreachable.TLS


async def test_no_handshake_with_what_the_guard_refuses() -> None:
    with pytest.raises(AddressRefused):
        await certificate_until(Settings(), "https://127.0.0.1/api")
    names = Names(["10.0.0.1", "fd00::1"])
    with pytest.raises(AddressRefused, match="private"):
        await certificate_until(Settings(), "https://geovisio.example.org/api", resolver=names)
    assert names.asked == 1


async def test_nobody_listens_or_somebody_is_silent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(OriginUnreachable, match="no connection within"):
            await certificate_until(impatient(), f"https://127.0.0.1:{port}")
    with pytest.raises(OriginUnreachable):
        await certificate_until(local_settings(), f"https://127.0.0.1:{port}")
