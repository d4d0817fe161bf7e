"""What a failed exchange means: aiohttp's exceptions turned into our errors, and whether another try may help."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from federation.errors import (
    AddressRefused,
    OriginError,
    OriginMalformed,
    OriginRefused,
    OriginUnreachable,
    Unreachable,
)
from federation.settings import Settings

#: 500 too: a GeoVisio answers it once per pooled connection after its database restarted
TRANSIENT_STATUSES = frozenset({429, 500, 502, 503, 504})


# Ours alone: the connector melts the refusals of a host's addresses into one OSError that keeps only their number.
GUARD_ERRNO = 900_403


class CandidateRefused(OSError):
    """The guard refuses this address; an OSError so that the connector goes on to the host's next address."""

    def __init__(self, reason: str) -> None:
        super().__init__(GUARD_ERRNO, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class ConnectionLost(Exception):
    """The connection ended before the first byte of an answer: a stale one, or a server that was restarted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request, for the errors it may end with; `answered` tells whether headers had arrived."""

    instance: str
    url: str
    settings: Settings
    answered: bool = False


#: all that aiohttp raises for a failed exchange; TimeoutError is an OSError
EXCHANGE_ERRORS = (aiohttp.ClientError, ConnectionLost, OSError)


class Transient(Exception):
    """Another try may help; `error` is what to raise when there is none left.

    `after_s` is what the server asked for; `at_once` marks a connection that was stale: no wait is needed.
    """

    def __init__(self, error: OriginError, *, after_s: float | None = None, at_once: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.after_s, self.at_once = error, after_s, at_once


def refused_status(asked: Asked, status: int, retry_after: float | None) -> Transient | OriginRefused:
    """The error of an answer whose status (>= 400) says no."""
    said = f"status {status}"
    with suppress(ValueError):
        said = f"status {status} ({HTTPStatus(status).phrase})"
    error = OriginRefused(said, status=status, instance=asked.instance, url=asked.url, retry_after_s=retry_after)
    return Transient(error, after_s=retry_after) if status in TRANSIENT_STATUSES else error


def exchange_fault(asked: Asked, error: Exception) -> Transient | OriginError:
    """The error that `error`, raised by aiohttp while asking or reading, stands for."""
    where = {"instance": asked.instance, "url": asked.url}
    if isinstance(error, TimeoutError):
        return _timeout_fault(asked, error, where)
    if isinstance(error, aiohttp.ClientConnectorError):
        return _connect_fault(error, where)
    if isinstance(error, ConnectionLost):
        return Transient(
            OriginUnreachable("connection closed before an answer", kind=Unreachable.LOST, **where), at_once=True
        )
    if isinstance(error, aiohttp.ClientPayloadError):
        return _payload_fault(error, where)
    if isinstance(error, aiohttp.InvalidURL):
        return AddressRefused(f"not a usable address: {error}", **where)
    if isinstance(error, aiohttp.ClientConnectionError):
        return Transient(OriginUnreachable(f"connection lost: {error}", kind=Unreachable.LOST, **where))
    return OriginMalformed(f"not an HTTP answer: {_short(error)}", **where)


def _timeout_fault(asked: Asked, error: TimeoutError, where: dict[str, str]) -> OriginUnreachable:
    settings = asked.settings
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        text, kind = f"no connection within {settings.outbound_connect_timeout_s:g} s", Unreachable.CONNECT
    elif not isinstance(error, aiohttp.SocketTimeoutError):
        text, kind = f"the whole answer took over {settings.outbound_total_timeout_s:g} s", Unreachable.TOTAL
    elif asked.answered:
        text = f"idle for {settings.outbound_read_timeout_s:g} s in the middle of the answer"
        kind = Unreachable.IDLE
    else:
        text, kind = f"no first byte within {settings.outbound_first_byte_timeout_s:g} s", Unreachable.FIRST_BYTE
    return OriginUnreachable(text, kind=kind, **where)


def _connect_fault(error: aiohttp.ClientConnectorError, where: dict[str, str]) -> OriginError:
    cause = error.os_error
    if cause.errno == GUARD_ERRNO:
        return AddressRefused(str(cause.strerror).removeprefix("Multiple exceptions: "), **where)
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return OriginUnreachable(f"DNS: {cause.strerror or cause}", kind=Unreachable.DNS, **where)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        text = _certificate_text(error.certificate_error)
        return OriginUnreachable(f"TLS: {text}", kind=Unreachable.TLS, **where)
    if isinstance(error, aiohttp.ClientSSLError):
        reason = getattr(cause, "reason", None) or cause
        return OriginUnreachable(f"TLS: {reason}", kind=Unreachable.TLS, **where)
    if isinstance(cause, ConnectionRefusedError):
        return OriginUnreachable("connection refused", kind=Unreachable.CONNECT, **where)
    return OriginUnreachable(f"no connection: {cause.strerror or cause}", kind=Unreachable.CONNECT, **where)


def _certificate_text(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return f"certificate not accepted: {error}"


def _payload_fault(error: aiohttp.ClientPayloadError, where: dict[str, str]) -> Transient:
    # aiohttp tells a reset from a clean close that came too early only in this text.
    if "ConnectionResetError" in str(error):
        lost = OriginUnreachable("connection reset in the middle of the answer", kind=Unreachable.LOST, **where)
        return Transient(lost)
    return Transient(OriginMalformed("the answer ended before its announced length", **where))


def _short(error: Exception) -> str:
    text = error.message if isinstance(error, aiohttp.ClientResponseError) else str(error)
    return " ".join(text.split())[:200] or type(error).__name__
