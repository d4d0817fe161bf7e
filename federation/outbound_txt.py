"""TXT records of a name: asked of the name server of the settings, or of the system's. The library is dnspython."""

from __future__ import annotations

import dns.asyncresolver
import dns.exception
import dns.resolver

from federation.addresses import is_loopback_host, why_host_refused
from federation.errors import OriginUnreachable, Unreachable
from federation.settings import Settings

#: A name with more is no proof but a flood.
_RECORDS_MAX = 50
_PORT = 53


async def read_txt(settings: Settings, name: str) -> list[str]:
    """The texts of a name, none where there is no such name. OriginUnreachable when nobody answers.

    Names of private networks are not asked for, nor those of this machine unless PANOFED_DNS_SERVER is set.
    """
    host = name.removeprefix("_panofed.")
    private = why_host_refused(host, allow_loopback=bool(settings.dns_server)) is not None
    if private or _is_literal(host) or (is_loopback_host(host) and not settings.dns_server):
        return []
    try:
        answer = await _resolver(settings).resolve(name, "TXT", lifetime=settings.outbound_connect_timeout_s)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        text = f"DNS: no answer about {name}"
        raise OriginUnreachable(text, kind=Unreachable.DNS, url=name) from error
    records = list(answer.rrset or ())[:_RECORDS_MAX]
    return [b"".join(record.strings).decode("utf-8", "replace") for record in records]


def _is_literal(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


def _resolver(settings: Settings) -> dns.asyncresolver.Resolver:
    if not settings.dns_server:
        return dns.asyncresolver.Resolver()
    resolver = dns.asyncresolver.Resolver(configure=False)
    address, _, port = settings.dns_server.rpartition(":") if _has_port(settings.dns_server) else (
        settings.dns_server, "", "",
    )  # fmt: skip
    resolver.nameservers = [address.strip("[]")]
    resolver.port = int(port or _PORT)
    return resolver


def _has_port(server: str) -> bool:
    """Whether an address of a name server ends with a port.

    >>> _has_port("127.0.0.1:5353"), _has_port("9.9.9.9"), _has_port("2620:fe::fe"), _has_port("[::1]:53")
    (True, False, False, True)
    """
    return (server.startswith("[") and "]:" in server) or server.count(":") == 1
