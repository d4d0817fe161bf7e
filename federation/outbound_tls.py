"""How long the certificate of a server holds: one handshake with an address that the guard allows, and nothing said."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache

from aiohttp.abc import AbstractResolver
from yarl import URL

from federation.addresses import why_address_refused
from federation.errors import AddressRefused, OriginUnreachable, Unreachable
from federation.outbound_resolve import Resolver
from federation.outbound_url import allowed_base
from federation.settings import Settings


async def certificate_until(settings: Settings, url: str, *, resolver: AbstractResolver | None = None) -> datetime:
    """When the certificate ends that is shown at this https address.

    Raises AddressRefused, or OriginUnreachable: nobody answers there, or the certificate is not accepted.
    """
    base = allowed_base(settings, url, "")
    names = resolver or Resolver(settings.outbound_connect_timeout_s)
    asked = str(base)
    try:
        async with asyncio.timeout(2 * settings.outbound_connect_timeout_s):
            address, family = await _allowed(settings, base, names)
            return await _shown(base, address, family)
    except TimeoutError as error:
        text = f"no connection within {settings.outbound_connect_timeout_s:g} s"
        raise OriginUnreachable(text, kind=Unreachable.CONNECT, url=asked) from error
    except ssl.SSLError as error:
        text = getattr(error, "verify_message", "") or error.reason or "not accepted"
        raise OriginUnreachable(f"TLS: {text}", kind=Unreachable.TLS, url=asked) from error
    except socket.gaierror as error:
        raise OriginUnreachable(f"DNS: {error.strerror or error}", kind=Unreachable.DNS, url=asked) from error
    except OSError as error:
        raise OriginUnreachable(f"no connection: {error.strerror or error}", url=asked) from error
    finally:
        if resolver is None:
            await names.close()


async def _allowed(settings: Settings, base: URL, names: AbstractResolver) -> tuple[str, socket.AddressFamily]:
    reason = "it has no address"
    for found in await names.resolve(base.raw_host or "", base.port or 443):
        refused = why_address_refused(found["host"], allow_loopback=settings.outbound_allow_loopback)
        if refused is None:
            return found["host"], socket.AddressFamily(found["family"])
        reason = refused
    raise AddressRefused(reason, url=str(base))


async def _shown(base: URL, address: str, family: socket.AddressFamily) -> datetime:
    loop = asyncio.get_running_loop()
    plain = socket.socket(family, socket.SOCK_STREAM)
    plain.setblocking(False)
    try:
        await loop.sock_connect(plain, (address, base.port))
        transport, _ = await loop.create_connection(
            asyncio.Protocol, sock=plain, ssl=_context(), server_hostname=base.raw_host
        )
    except BaseException:
        plain.close()
        raise
    shown = transport.get_extra_info("peercert")
    with suppress(OSError):
        transport.abort()
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(shown["notAfter"]), UTC)


@cache
def _context() -> ssl.SSLContext:
    """Reading the trusted authorities takes 20 ms."""
    return ssl.create_default_context()
