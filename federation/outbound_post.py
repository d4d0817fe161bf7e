"""A message to an address of the administrator's own choice: one POST, guarded like every other way out."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import aiohttp
from yarl import URL

from federation.addresses import why_address_refused
from federation.errors import NoticeRefused
from federation.outbound import AddrInfo
from federation.settings import Settings

#: Of the answer, for whoever looks for the reason.
_ANSWER_MAX_BYTES = 300


async def post(settings: Settings, url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Send it; NoticeRefused unless it is answered with a status from 200 to 299. No redirect is followed.

    Private addresses are refused unless `notify_private` allows them. Errors name the host, never the whole address:
    it may hold a secret.
    """
    host, refusals = URL(url).host or "?", list[str]()
    timeout = aiohttp.ClientTimeout(total=settings.notify_timeout_s)
    try:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, socket_factory=_guard(settings, refusals)),
            timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False,
            headers={"User-Agent": settings.user_agent},
        ) as client:  # fmt: skip
            async with client.post(url, data=body, headers=headers, allow_redirects=False) as response:
                if not 200 <= response.status < 300:
                    said = (await response.content.read(_ANSWER_MAX_BYTES)).decode(errors="replace")
                    raise NoticeRefused(f"{host} answered {response.status}: {' '.join(said.split())}")
    except TimeoutError as error:
        raise NoticeRefused(f"{host} gave no answer within {settings.notify_timeout_s:g} s") from error
    except (aiohttp.ClientError, OSError) as error:
        reason = "; ".join(refusals) or str(error).replace(url, host) or type(error).__name__
        raise NoticeRefused(f"{host}: {reason}") from error


def _guard(settings: Settings, refusals: list[str]) -> aiohttp.connector.SocketFactoryType:
    """Judges every address that is about to be connected to; what it refuses is kept in `refusals`."""

    def make(addr_info: AddrInfo) -> socket.socket:
        family, kind, protocol, _, where = addr_info
        if not settings.notify_private:
            reason = why_address_refused(str(where[0]), allow_loopback=settings.outbound_allow_loopback)
            if reason is not None:
                refusals.append(f"{reason} (PANOFED_NOTIFY_PRIVATE allows it)")
                raise OSError(reason)
        return socket.socket(family, kind, protocol)

    return make
