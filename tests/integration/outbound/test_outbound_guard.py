"""The guard judges the address connected to, and a failing name server or certificate is named as such."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult

from federation.errors import AddressRefused, OriginUnreachable, Unreachable
from federation.outbound import OriginSession
from federation.settings import Settings, load_settings
from tests.hostile import HostileServer, answer, impatient, local_settings

NAME = "geovisio.example.org"


class Names(AbstractResolver):
    """A name server on paper: each question takes the next list of addresses."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self.answers, self.asked = list(answers), 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in found
        ]

    async def close(self) -> None:
        pass


def session(settings: Settings, server: HostileServer, names: AbstractResolver, scheme: str = "http") -> OriginSession:
    allowed = settings.model_copy(update={"outbound_ports": (server.port,)})
    return OriginSession(allowed, f"{scheme}://{NAME}:{server.port}", instance="a", requests_per_s=0, resolver=names)


@pytest.mark.parametrize(
    "address",
    "10.0.0.1 192.168.1.1 172.16.0.1 100.64.0.1 169.254.169.254 0.0.0.0 224.0.0.1 255.255.255.255 192.0.0.1 "
    "198.18.0.1 :: ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 64:ff9b:1::1 2002:7f00:1::1 2001::1 fc00::1 "
    "fe80::1 ff02::1".split(),
)
async def test_a_name_that_leads_to_a_special_address_is_refused_before_a_socket_is_made(
    server: HostileServer, settings: Settings, address: str
) -> None:
    async with session(settings, server, Names([address])) as origin:
        with pytest.raises(AddressRefused, match=address) as caught:
            await origin.get("/x")
    assert (caught.value.instance, caught.value.url) == ("a", f"http://{NAME}:{server.port}/x")
    assert len(origin.refusals) == 1 and address in origin.refusals[0]
    assert server.connections == 0


async def test_loopback_is_refused_unless_allowed(server: HostileServer) -> None:
    strict = local_settings(outbound_allow_loopback=False)
    async with session(strict, server, Names(["127.0.0.1", "::1"])) as origin:
        with pytest.raises(AddressRefused, match="loopback"):
            await origin.get("/x")
    assert set(origin.refusals) == {"127.0.0.1 is loopback", "::1 is loopback"}
    assert server.connections == 0


async def test_a_host_with_a_forbidden_and_an_allowed_address_is_reached_by_the_allowed_one(
    server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}))
    async with session(settings, server, Names(["10.0.0.1", "169.254.169.254", "127.0.0.1"])) as origin:
        assert (await origin.get("/x")).status == 200
    assert origin.refusals == ["10.0.0.1 is private", "169.254.169.254 is link-local"]


async def test_a_name_that_changes_its_address_during_the_visit_is_judged_again(
    server: HostileServer, settings: Settings
) -> None:
    server.on("/x", answer({}, headers={"Connection": "close"}))
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with session(settings, server, names) as origin:
        await origin.get("/x")
        assert origin._client is not None and origin._client.connector is not None
        origin._client.connector.clear_dns_cache()  # type: ignore[attr-defined]
        with pytest.raises(AddressRefused, match=r"10\.0\.0\.1 is private"):
            await origin.get("/x")
    assert server.connections == 1


async def test_a_name_that_is_rebound_between_two_connections_is_judged_at_each(
    server: HostileServer, settings: Settings
) -> None:
    """The name's answers change while a connection is kept: the kept one goes on, the next one is judged anew."""
    server.on("/x", answer({}))
    server.on("/last", answer({}, headers={"Connection": "close"}))
    names = Names(["127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"])
    async with session(settings, server, names) as origin:
        assert origin._client is not None and origin._client.connector is not None
        for _ in range(2):
            await origin.get("/x")
            origin._client.connector.clear_dns_cache()  # type: ignore[attr-defined]
        await origin.get("/last")
        for forbidden in ("IPv4-mapped", "link-local"):
            with pytest.raises(AddressRefused, match=forbidden):
                await origin.get("/x")
            origin._client.connector.clear_dns_cache()  # type: ignore[attr-defined]
    assert (names.asked, server.connections, len(origin.refusals)) == (3, 1, 2)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:22/api",
        "https://geovisio.example.org:8443/api",
        "https://somebody@geovisio.example.org/api",
        "https://somebody:secret@geovisio.example.org/api",
        "https://2130706433/api",
        "https://0x7f.1/api",
        "https://[64:ff9b::a00:1]/api",
        "https://[2002:a00:1::]/api",
        "https://[2001:0:a00:1::]/api",
        "https://[::ffff:10.0.0.1]/api",
        "https://[::10.0.0.1]/api",
        "https://metadata.internal/api",
        "ftp://geovisio.example.org/api",
    ],
)
async def test_an_address_that_may_not_be_visited_is_refused_before_any_name_is_asked(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *question: pytest.fail(f"asked for {question}"))
    with pytest.raises(AddressRefused) as caught:
        OriginSession(load_settings(), url, instance="a")
    assert "secret" not in str(caught.value) + caught.value.url


async def test_an_unknown_name_is_a_dns_error(server: HostileServer, settings: Settings) -> None:
    gone = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    async with session(settings, server, Names(gone)) as origin:
        with pytest.raises(OriginUnreachable, match=r"^DNS: Name or service not known$") as caught:
            await origin.get("/x")
        assert caught.value.kind is Unreachable.DNS


async def test_a_name_server_that_hangs_is_a_dns_error(
    server: HostileServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *question: time.sleep(1.0))
    allowed = settings.model_copy(update={"outbound_ports": (server.port,), "outbound_connect_timeout_s": 0.2})
    async with OriginSession(allowed, f"http://{NAME}:{server.port}", instance="a") as origin:
        with pytest.raises(OriginUnreachable, match=r"^DNS: no answer within 0\.2 s$") as caught:
            await origin.get("/x")
        assert caught.value.kind is Unreachable.DNS


async def test_localhost_is_not_asked_of_a_name_server(
    server: HostileServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.on("/x", answer({}))

    def forbidden(*question: object) -> None:
        raise AssertionError(question)

    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    async with OriginSession(settings, f"http://localhost:{server.port}") as origin:
        assert (await origin.get("/x")).status == 200


async def test_nobody_listening_is_connection_refused(settings: Settings) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        async with OriginSession(settings, f"http://127.0.0.1:{port}") as origin:
            with pytest.raises(OriginUnreachable, match=r"^connection refused$") as caught:
                await origin.get("/x")
            assert caught.value.kind is Unreachable.CONNECT


async def test_a_connection_that_is_not_accepted_times_out() -> None:
    with socket.socket() as full:  # listens, but its queue is full and nobody accepts
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for knock in waiting:
            knock.setblocking(False)
            knock.connect_ex(full.getsockname())
        async with OriginSession(impatient(), f"http://127.0.0.1:{full.getsockname()[1]}") as origin:
            with pytest.raises(OriginUnreachable, match=r"no connection within 0\.5 s") as caught:
                await origin.get("/x")
            assert caught.value.kind is Unreachable.CONNECT
        for knock in waiting:
            knock.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls(authority: trustme.CA, *names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_a_certificate_that_nobody_vouches_for_is_a_tls_error(authority: trustme.CA, settings: Settings) -> None:
    async with HostileServer(tls=tls(authority, "127.0.0.1")) as server:
        server.on("/x", answer({}))
        async with OriginSession(settings, server.url) as origin:
            with pytest.raises(OriginUnreachable, match=r"^TLS: certificate not accepted: ") as caught:
                await origin.get("/x")
            assert caught.value.kind is Unreachable.TLS
        assert server.requests == []


async def test_a_server_without_tls_on_an_https_address_is_a_tls_error(settings: Settings) -> None:
    async def plain(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, OriginSession(settings, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}") as origin:
        with pytest.raises(OriginUnreachable, match=r"^TLS: ") as caught:
            await origin.get("/x")
        assert caught.value.kind is Unreachable.TLS


CLIENT = """
import asyncio, sys
from federation.errors import OriginError
from federation.outbound import OriginSession
from tests.hostile import local_settings

async def main(url: str) -> str:
    try:
        async with OriginSession(local_settings(), url) as origin:
            return (await origin.get("/x")).body.decode()
    except OriginError as error:
        return str(error)

sys.stdout.write(asyncio.run(main(sys.argv[1])))
"""


async def test_a_certificate_is_accepted_from_a_trusted_authority_and_for_its_own_name_only(
    authority: trustme.CA, tmp_path: Path
) -> None:
    trusted = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(trusted))

    def ask(url: str) -> str:
        # a process of its own: aiohttp reads the trusted authorities once, when it is imported
        environment = {**os.environ, "SSL_CERT_FILE": str(trusted)}
        done = subprocess.run([sys.executable, "-c", CLIENT, url], env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    for names, expected in ((("127.0.0.1",), "{}"), (("other.org",), "TLS: certificate not accepted: IP address mis")):
        async with HostileServer(tls=tls(authority, *names)) as server:
            server.on("/x", answer({}))
            assert (await asyncio.to_thread(ask, server.url)).startswith(expected)
