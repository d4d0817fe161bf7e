"""The one module that opens outgoing connections: one session per visit of one instance, its origin only.

Every address is judged when its socket is made (`federation.addresses`), so neither a redirect, an odd spelling nor
a changing DNS answer leads anywhere else. No cookies, no credentials, no proxy: behind a proxy the guard were blind.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from federation.addresses import why_address_refused
from federation.errors import CircuitOpen, OriginMalformed, OriginUnreachable
from federation.outbound_answers import Answers, LookedAt
from federation.outbound_body import ACCEPT_ENCODING, Body, BodyFault
from federation.outbound_faults import (
    EXCHANGE_ERRORS,
    Asked,
    CandidateRefused,
    ConnectionLost,
    Transient,
    exchange_fault,
    refused_status,
)
from federation.outbound_pace import LocalTurnstile, Turnstile, backoff_s, http_date, retry_after_s
from federation.outbound_resolve import Resolver
from federation.outbound_url import allowed_base, redirected_url, target_url
from federation.settings import Settings

REDIRECTS = frozenset({301, 302, 303, 307, 308})
AddrInfo = tuple[int, int, int, str, tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an instance answered: status below 400, header names in lower case, the body decompressed."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    received_bytes: int
    elapsed_s: float

    def date(self) -> datetime | None:
        """The server's clock (HTTP Date header, UTC); None when it does not say."""
        return http_date(self.headers.get("date"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """Status and headers of an address, names in lower case."""

    url: str
    status: int
    headers: Mapping[str, str]

    def is_open_to(self, origin: str) -> bool:
        """Whether a browser gives the answer to a page of this origin (CORS)."""
        return self.headers.get("access-control-allow-origin", "").strip() in ("*", origin)


class OriginSession:
    """A visit to one instance: `async with OriginSession(settings, url, instance=name) as origin: ...get(...)`."""

    def __init__(
        self,
        settings: Settings,
        base_url: str,
        *,
        instance: str = "",
        concurrency: int | None = None,
        requests_per_s: float | None = None,
        turnstile: Turnstile | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """Raises AddressRefused when `base_url` may not be visited. `requests_per_s` 0 means unlimited.

        A `turnstile` shared with other sessions takes the place of `concurrency` and `requests_per_s`. `resolver` takes
        the place of the system's name server (tests give one that answers by itself).
        """
        self._settings, self.instance = settings, instance
        self._base = allowed_base(settings, base_url, instance)
        self.turnstile = turnstile or LocalTurnstile(settings, concurrency=concurrency, requests_per_s=requests_per_s)
        self._resolver = resolver
        self._client: aiohttp.ClientSession | None = None
        self._requests = self._received_bytes = 0
        #: how fast it answers, and its certificate
        self.answers = Answers()
        #: what the guard refused when a socket was about to be made, in order
        self.refusals: list[str] = []

    @property
    def base_url(self) -> str:
        """The address of the instance's API."""
        return str(self._base)

    @property
    def robots_url(self) -> str:
        """Where the rules for robots of the instance's origin are (RFC 9309)."""
        return str(self._base.origin().with_path("/robots.txt"))

    @property
    def requests(self) -> int:
        """Requests sent so far, repeated ones and redirects included."""
        return self._requests

    @property
    def received_bytes(self) -> int:
        """Body bytes received so far, as they came off the wire."""
        return self._received_bytes

    async def __aenter__(self) -> Self:
        settings = self._settings
        connect_s = settings.outbound_connect_timeout_s
        self._resolver = self._resolver or Resolver(connect_s)
        self._client = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, socket_factory=self._make_socket, resolver=self._resolver),
            timeout=aiohttp.ClientTimeout(
                total=settings.outbound_total_timeout_s,
                connect=2 * connect_s,  # the name server's share and the connection's
                sock_connect=connect_s,
                sock_read=settings.outbound_first_byte_timeout_s,  # `_read_body` turns to the time between reads
            ),
            max_line_size=settings.outbound_header_max_bytes,
            max_field_size=settings.outbound_header_max_bytes,
            max_headers=settings.outbound_headers_max,
            headers={"User-Agent": settings.user_agent, "Accept-Encoding": ACCEPT_ENCODING},
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            middlewares=(_without_hidden_retry,),
            response_class=LookedAt,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._client is not None:
            await self._client.close()
        if self._resolver is not None:  # aiohttp closes only a resolver that it made itself
            await self._resolver.close()

    async def get(self, url: str, *, accept: str = "application/json", attempts: int | None = None) -> Answer:
        """GET `url` (absolute on this origin, or a path below the base URL); transient faults are tried again.

        Raises AddressRefused, OriginUnreachable, OriginRefused (status >= 400) or OriginMalformed.
        """
        target = target_url(self._base, url, self.instance)
        last = self._settings.outbound_attempts if attempts is None else attempts
        attempt, free_tries = 1, 1
        while True:
            try:
                return await self._follow(target, accept)
            except Transient as fault:
                if fault.at_once and free_tries:  # a stale connection says nothing about the server
                    free_tries -= 1
                    continue
                if fault.after_s is not None:
                    await self.turnstile.hold(fault.after_s)  # everybody who asks this instance waits
                if attempt >= last or not self._worth_waiting(fault):
                    raise fault.error from fault.__cause__
                await asyncio.sleep(self._pause_s(attempt, fault))
                attempt += 1

    async def glance(self, url: str, *, origin: str) -> Glance:
        """What a browser on a page of `origin` is told of `url`: status and headers of one try; no body is read.

        Raises AddressRefused, OriginUnreachable or OriginMalformed; any status is an answer, a redirect too.
        """
        target = target_url(self._base, url, self.instance)
        asked = Asked(instance=self.instance, url=str(target), settings=self._settings)
        if self._client is None:
            raise RuntimeError("OriginSession is used outside of 'async with'")
        slot = await self._enter(asked)
        started = time.monotonic()
        try:
            self._requests += 1
            # one byte: a picture may have many megabytes, and who does not know ranges is hung up on
            headers = {"Accept": "*/*", "Origin": origin, "Range": "bytes=0-0"}
            response = await self._client.get(target, headers=headers, allow_redirects=False)
            response.close()
        except EXCHANGE_ERRORS as error:
            fault = exchange_fault(asked, error)
            raise (fault.error if isinstance(fault, Transient) else fault) from error
        finally:
            await self.turnstile.leave(slot, elapsed_s=time.monotonic() - started, fault=False)
        told = {name.lower(): ", ".join(response.headers.getall(name)) for name in response.headers}
        return Glance(url=str(target), status=response.status, headers=told)

    def _worth_waiting(self, fault: Transient) -> bool:
        """Whoever asks for a long pause gets it: not from this visit, which ends, but from the next one's time."""
        return fault.after_s is None or fault.after_s <= self._settings.outbound_retry_after_max_s

    def _pause_s(self, attempt: int, fault: Transient) -> float:
        settings = self._settings
        pause_s = backoff_s(attempt, settings.outbound_backoff_first_s, settings.outbound_backoff_last_s)
        return max(pause_s, fault.after_s or 0.0)

    def _where(self, url: str) -> dict[str, str]:
        return {"instance": self.instance, "url": url}

    async def _follow(self, target: URL, accept: str) -> Answer:
        """One try: the request and the redirects it leads to."""
        url = target
        for _ in range(self._settings.outbound_redirects_max + 1):
            answer = await self._exchange(url, accept)
            if isinstance(answer, Answer):
                return answer
            url = answer
        raise OriginMalformed(
            f"more than {self._settings.outbound_redirects_max} redirects", **self._where(str(target))
        )

    async def _exchange(self, url: URL, accept: str) -> Answer | URL:
        """One request; its answer, or the address that it redirects to."""
        if self._client is None:
            raise RuntimeError("OriginSession is used outside of 'async with'")
        asked = Asked(instance=self.instance, url=str(url), settings=self._settings)
        slot = await self._enter(asked)
        started, fault = time.monotonic(), False
        try:
            self._requests += 1
            try:
                response = await self._client.get(url, headers={"Accept": accept}, allow_redirects=False)
            except EXCHANGE_ERRORS as error:
                raise exchange_fault(asked, error) from error
            self.answers.look_at(response)
            async with response:
                return await self._read(asked, response, started)
        except (Transient, OriginUnreachable) as error:
            fault = isinstance(error.error if isinstance(error, Transient) else error, OriginUnreachable)
            raise
        finally:
            elapsed_s = time.monotonic() - started
            self.answers.took(elapsed_s)
            await self.turnstile.leave(slot, elapsed_s=elapsed_s, fault=fault)

    async def _enter(self, asked: Asked) -> int:
        try:
            return await self.turnstile.enter()
        except CircuitOpen as error:  # the turnstile does not know what it is passed for
            error.instance, error.url = asked.instance, asked.url
            raise

    async def _read(self, asked: Asked, response: aiohttp.ClientResponse, started: float) -> Answer | URL:
        status = response.status
        headers = {name.lower(): ", ".join(response.headers.getall(name)) for name in response.headers}
        if status in REDIRECTS:
            return redirected_url(self._base, response.url, headers.get("location", ""), self.instance)
        if status >= 400:
            raise refused_status(asked, status, retry_after_s(headers.get("retry-after"), headers.get("date")))
        if status >= 300:
            raise OriginMalformed(f"status {status} has no answer to read", **self._where(asked.url))
        body, wire_bytes = await self._read_body(asked, response, headers.get("content-encoding", ""))
        return Answer(
            url=asked.url,
            status=status,
            headers=headers,
            body=body,
            received_bytes=wire_bytes,
            elapsed_s=time.monotonic() - started,
        )

    async def _read_body(self, asked: Asked, response: aiohttp.ClientResponse, encoding: str) -> tuple[bytes, int]:
        try:
            body = Body(encoding, self._settings.outbound_body_max_bytes)
            body.expect(response.content_length)
            if response.connection is not None and response.connection.protocol is not None:
                response.connection.protocol.read_timeout = self._settings.outbound_read_timeout_s
                response.connection.protocol.start_timeout()
            while wire := await response.content.readany():
                self._received_bytes += len(wire)
                body.feed(wire)
            return body.finish(), body.wire_bytes
        except BodyFault as fault:
            raise OriginMalformed(str(fault), **self._where(asked.url)) from fault
        except EXCHANGE_ERRORS as error:
            raise exchange_fault(replace(asked, answered=True), error) from error

    def _make_socket(self, addr_info: AddrInfo) -> socket.socket:
        """The guard: the connector asks here for every address that it is about to connect to."""
        family, kind, protocol, _, where = addr_info
        reason = why_address_refused(str(where[0]), allow_loopback=self._settings.outbound_allow_loopback)
        if reason is not None:
            self.refusals.append(reason)
            raise CandidateRefused(reason)
        return socket.socket(family, kind, protocol)


async def _without_hidden_retry(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """aiohttp sends a GET again by itself when its connection was lost; here every request is paced and counted."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ClientConnectionResetError, aiohttp.ServerDisconnectedError) as error:
        raise ConnectionLost(str(error)) from error
