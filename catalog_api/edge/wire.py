"""The connection below a request: what a client may send and for how long, before any of our handlers is asked."""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from catalog_api.edge.endpoint import deliver
from catalog_api.edge.responses import error_answer
from federation.settings import Settings

#: Lines of a head; browsers send 15 to 25.
_HEADERS_MAX = 128
#: How long a client that was refused may go on sending into the void.
_LINGER_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """See the settings of the same names."""

    connections: int
    url_bytes: int
    header_bytes: int
    read_timeout_s: float
    slow_reader_s: float


class Guarded(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which itself has no limit for a head's size or the time a request takes to arrive."""

    limits: ClassVar[WireLimits]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self._received = 0
        self._whole = True
        self._headed = True
        self._refused = False
        self._deadline: TimerHandle | None = None
        self._stall: TimerHandle | None = None
        if len(self.connections) > self.limits.connections:
            self._say(503, "this worker has as many connections as it takes")
            transport.close()
            return
        # who connects and says nothing is given as long as a request
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """It left, or was left."""
        self._disarm()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Part of a request, one, or several."""
        if self._refused or self.parser is None or self.transport.is_closing():
            return
        self._received += len(data)
        super().data_received(data)
        if self._refused:
            return
        if self._whole:
            self._disarm()
            self._received = 0
        elif not self._headed and self._received > self.limits.header_bytes + self.limits.url_bytes:
            self._say(*(self._refusal() or (431, f"the headers are longer than {self.limits.header_bytes} bytes")))
        elif self._deadline is None:
            self._arm()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self._whole = self._headed = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """A head is there: it is handed on, or answered here."""
        self._headed = True
        refusal = self._refusal()
        if refusal is None:
            super().on_headers_complete()
            return
        kept, self.app = self.app, _refusing(*refusal)
        if refusal[0] == 414:
            # the parser's offsets into an address have 16 bits
            self.url = b"/"
        try:
            super().on_headers_complete()
        finally:
            self.app = kept

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self._whole = True
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client reads more slowly than we send."""
        super().pause_writing()
        self._stall = self.loop.call_later(self.limits.slow_reader_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It read on."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        if self.flow is not None:
            super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP."""
        self._say(400, msg)

    def _refusal(self) -> tuple[int, str] | None:
        if len(self.url) > self.limits.url_bytes:
            return 414, f"the address is longer than {self.limits.url_bytes} bytes: send a POST"
        # what came in small is small
        if self._received <= self.limits.header_bytes and len(self.headers) <= _HEADERS_MAX:
            return None
        size = sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.limits.header_bytes:
            return 431, f"the headers are longer than {self.limits.header_bytes} bytes"
        if len(self.headers) > _HEADERS_MAX:
            return 431, f"there are more than {_HEADERS_MAX} headers"
        return None

    def _arm(self) -> None:
        self._deadline = self.loop.call_later(self.limits.read_timeout_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self._received:
            self._say(408, f"the request was not there after {self.limits.read_timeout_s:g} s")
        else:
            self.transport.abort()

    def _say(self, status: int, message: str) -> None:
        """Answer without a handler, and close; nothing is said into the middle of another answer."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        answer = error_answer(status, message)
        headers: Sequence[tuple[bytes, bytes]] = [
            *self.server_state.default_headers,
            (b"content-type", answer.media_type),
            (b"content-length", b"%d" % len(answer.body)),
            (b"access-control-allow-origin", b"*"),
            (b"cache-control", answer.cache),
            (b"connection", b"close"),
        ]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + head + b"\r\n" + answer.body)
        # closing on a client that is still sending would reset the connection, and it would never read this
        self._refused = True
        self.transport.write_eof()
        self._disarm()
        self._deadline = self.loop.call_later(_LINGER_S, self.transport.close)


def _refusing(status: int, message: str) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        close = [(b"connection", b"close")]
        await deliver(error_answer(status, message, headers=close), scope, receive, send)

    return app


def guarded(settings: Settings) -> type[HttpToolsProtocol]:
    """The protocol with the limits of the settings."""
    limits = WireLimits(
        connections=settings.connections_max,
        url_bytes=settings.url_max_bytes,
        header_bytes=settings.header_max_bytes,
        read_timeout_s=settings.request_read_timeout_s,
        slow_reader_s=settings.slow_reader_timeout_s,
    )
    members: dict[str, Any] = {"limits": limits}
    return type("GuardedByLimits", (Guarded,), members)
