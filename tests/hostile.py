"""A real HTTP server on loopback that can be told to misbehave: what a broken or hostile instance does to us.

    async with HostileServer() as server:
        server.on("/api", answer({"stac_version": "1.0.0"}))
        server.on("/api/collections", in_turn(answer(status=500), drip(b"x" * 100, every_s=0.5)))
        ... ask server.url ...
        assert [request.path for request in server.requests] == ["/api", "/api/collections"]

A behaviour is any `async def behave(exchange: Exchange) -> None`; those below can be combined with `in_turn`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from federation.settings import Settings, load_settings

REASONS = {200: "OK", 301: "Moved", 302: "Found", 404: "Not Found", 429: "Too Many", 500: "Broken", 503: "Busy"}
MEGABYTE = bytes(1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as it arrived; `at` is the monotonic clock, `connection` counts connections from 1."""

    method: str
    target: str
    headers: Mapping[str, str]
    at: float
    connection: int

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Hangup(Exception):
    """A behaviour wants the connection closed now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """What a behaviour works with: the request, and the raw connection to write to."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        """Send the status line and headers, exactly these and no others."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    def reset(self) -> None:
        """Cut the connection with a TCP reset instead of a clean close."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()
        raise Hangup


Behaviour = Callable[[Exchange], Awaitable[None]]


@dataclass(slots=True)
class HostileServer:
    """Listens on 127.0.0.1, on a free port unless one is given; `requests` is its log."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    #: how paths are answered that have no behaviour of their own
    otherwise: Behaviour | None = None
    _behaviours: dict[str, Behaviour] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def on(self, path: str, behaviour: Behaviour) -> None:
        """Answer requests for `path` (without its query) by `behaviour`; others go to `otherwise`, else get 404."""
        self._behaviours[path] = behaviour

    def asked(self, path: str) -> list[Request]:
        """The requests for `path`, in order."""
        return [request for request in self.requests if request.path == path]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        await self._server.wait_closed()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        self.connections += 1
        try:
            # A client that gives up in the middle is what these tests are about.
            with contextlib.suppress(Hangup, OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer, self.connections)
        finally:
            self._serving.discard(task)
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: int) -> None:
        while True:
            request = _parsed(await reader.readuntil(b"\r\n\r\n"), connection)
            self.requests.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            try:
                unknown = self.otherwise or answer({"message": "not found"}, status=404)
                await self._behaviours.get(request.path, unknown)(
                    Exchange(request=request, reader=reader, writer=writer)
                )
            finally:
                self.at_once -= 1


def _parsed(head: bytes, connection: int) -> Request:
    first, *lines = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return Request(method=method, target=target, headers=headers, at=time.monotonic(), connection=connection)


def answer(body: object = b"", *, status: int = 200, headers: Mapping[str, str] | None = None) -> Behaviour:
    """A well-behaved answer: bytes as they are, anything else as JSON, with a right Content-Length."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def behave(exchange: Exchange) -> None:
        await exchange.head(status, {"Content-Length": str(len(data)), **(headers or {})})
        await exchange.send(data)

    return behave


def raw(data: bytes, *, then: str = "keep") -> Behaviour:
    """Exactly these bytes, headers included; then "keep" the connection, "close" or "reset" it."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(data)
        if then == "close":
            raise Hangup
        if then == "reset":
            await asyncio.sleep(0.05)  # a reset overtakes bytes that the client has not read yet
            exchange.reset()

    return behave


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """The first request gets the first behaviour, and so on; the last one stays."""
    waiting = list(behaviours)

    async def behave(exchange: Exchange) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(exchange)

    return behave


def after(seconds: float, behaviour: Behaviour) -> Behaviour:
    """Silence first, then `behaviour`."""

    async def behave(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await behaviour(exchange)

    return behave


def silence() -> Behaviour:
    """Never answers, keeps the connection open."""
    return after(3_600, answer())


def drip(body: bytes, *, every_s: float, sent: int = 0) -> Behaviour:
    """Sends `sent` bytes of the body at once and the rest one by one."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, {"Content-Length": str(len(body))})
        await exchange.send(body[:sent])
        for place in range(sent, len(body)):
            await asyncio.sleep(every_s)
            await exchange.send(body[place : place + 1])

    return behave


def drip_headers(*, every_s: float) -> Behaviour:
    """Headers without end, slowly: never idle, never done."""

    async def behave(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\n")
        for number in range(1_000):
            await asyncio.sleep(every_s)
            await exchange.send(f"X-{number}: y\r\n".encode())

    return behave


def endless(block: bytes = MEGABYTE) -> Behaviour:
    """A chunked body that does not end."""

    async def behave(exchange: Exchange) -> None:
        await exchange.head(200, {"Transfer-Encoding": "chunked"})
        while True:
            await exchange.send(f"{len(block):x}\r\n".encode() + block + b"\r\n")

    return behave


def endless_interim() -> Behaviour:
    """1xx answers without end before the real one, which never comes."""

    async def behave(exchange: Exchange) -> None:
        while True:
            await exchange.send(b"HTTP/1.1 102 Processing\r\n\r\n")
            await asyncio.sleep(0.01)

    return behave


def gzip_bomb(megabytes: int) -> Behaviour:
    """A gzip body of about `megabytes` kB that unpacks to `megabytes` MB of zeros."""
    pack = zlib.compressobj(9, wbits=31)
    data = b"".join(pack.compress(MEGABYTE) for _ in range(megabytes)) + pack.flush()
    return answer(data, headers={"Content-Encoding": "gzip"})


def cut(body: bytes, *, announced: int, reset: bool = False) -> Behaviour:
    """Announces `announced` bytes, sends `body`, and ends the connection: cleanly, or by a reset."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {announced}\r\n\r\n".encode()
    return raw(head + body, then="reset" if reset else "close")


def redirect(location: str, *, status: int = 302) -> Behaviour:
    """Sends the client elsewhere."""
    return answer(b"", status=status, headers={"Location": location})


def reset() -> Behaviour:
    """Cuts the connection by a reset instead of answering."""
    return raw(b"", then="reset")


def hang_up_after(behaviour: Behaviour) -> Behaviour:
    """Answers, then closes the kept connection without a word, as servers do with idle ones."""

    async def behave(exchange: Exchange) -> None:
        await behaviour(exchange)
        raise Hangup

    return behave


def local_settings(**overrides: object) -> Settings:
    """Settings for loopback: a ceiling of 1 MB, quick repeats, time-outs that a loaded machine does not reach."""
    values: dict[str, object] = {
        "outbound_allow_loopback": True,
        "outbound_allow_http": True,
        "outbound_connect_timeout_s": 5,
        "outbound_first_byte_timeout_s": 10,
        "outbound_read_timeout_s": 10,
        "outbound_total_timeout_s": 20,
        "outbound_body_max_bytes": 1_000_000,
        "outbound_attempts": 4,
        "outbound_backoff_first_s": 0.01,
        "outbound_backoff_last_s": 0.05,
        "outbound_retry_after_max_s": 2.0,
        "instance_rest_share": 0,
    }
    return load_settings(**{**values, **overrides})


def impatient(**overrides: object) -> Settings:
    """The same with time-outs short enough to wait for: connect 0.5 s, silence 0.3 s, whole answer 1 s."""
    short = {
        "outbound_connect_timeout_s": 0.5,
        "outbound_first_byte_timeout_s": 0.3,
        "outbound_read_timeout_s": 0.3,
        "outbound_total_timeout_s": 1.0,
    }
    return local_settings(**{**short, **overrides})
