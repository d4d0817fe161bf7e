"""Who asks, and at which address: what proxies say of a request, believed only from those the settings name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

from federation.settings import Settings

Headers = Sequence[tuple[bytes, bytes]]
_Network = IPv4Network | IPv6Network
_Address = IPv4Address | IPv6Address

_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){0,8}")
#: name=value pairs of one element of Forwarded (RFC 7239, section 4); values may be quoted
_PAIR = re.compile(r'\s*(\w+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;,"\s]*)\s*')
_FORWARDING = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})


class BaseAddress(str):
    """Where links of an answer begin, such as https://catalog.example/street: checked, never a client's mere word."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxies:
    """Which peers are believed, which header they write, and the hosts that links may name."""

    networks: tuple[_Network, ...]
    header: str
    hosts: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Proxies:
        """Those the settings name."""
        parts = [part.strip() for part in settings.trusted_proxies.split(",")]
        hosts = [part.strip().lower() for part in settings.allowed_hosts.split(",")]
        return cls(
            networks=tuple(ip_network(part) for part in parts if part),
            header=settings.forwarded_header,
            hosts=frozenset(host for host in hosts if host),
        )

    def believe(self, peer: str) -> bool:
        """Whether the word of this peer counts."""
        address = _parsed(peer)
        return address is not None and any(address in network for network in self.networks)

    def allows(self, host: str) -> bool:
        """Whether links may begin with this host: one of the settings, or this machine."""
        return host.lower() in self.hosts or _LOOPBACK.fullmatch(host) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A request's client, and the address it used where that is allowed, else None."""

    client: str
    base: BaseAddress | None = None


def origin_of(peer: str, headers: Headers, proxies: Proxies) -> Origin:
    """The client of a request that came from `peer`.

    >>> proxies = Proxies(networks=(ip_network("10.0.0.0/8"),), header="x-forwarded", hosts=frozenset({"a.example"}))
    >>> said = [(b"x-forwarded-for", b"9.9.9.9, 1.2.3.4, 10.0.0.9"), (b"x-forwarded-host", b"a.example")]
    >>> origin_of("10.0.0.1", said, proxies)
    Origin(client='1.2.3.4', base='http://a.example')
    >>> origin_of("8.8.8.8", said, proxies)
    Origin(client='8.8.8.8', base=None)
    """
    if not proxies.networks or not proxies.believe(peer):
        return Origin(client=peer)
    if proxies.header == "forwarded":
        hops, said = _forwarded(headers)
    else:
        hops, said = _x_forwarded(headers)
    return Origin(client=_client(peer, hops, proxies), base=_base(said, proxies))


def is_forwarded(headers: Headers) -> bool:
    """Whether somebody on the way says that the peer is not the client."""
    return any(name in _FORWARDING for name, _ in headers)


def is_this_machine(host: str) -> bool:
    """Whether an address or a Host header names this machine.

    >>> [is_this_machine(each) for each in ("127.0.0.1", "::1", "localhost:8080", "[::1]:80", "127.0.0.1.example", "")]
    [True, True, True, True, False, False]
    """
    return host == "::1" or _LOOPBACK.fullmatch(host.lower()) is not None


def _client(peer: str, hops: Sequence[str], proxies: Proxies) -> str:
    """The last hop that is none of ours: what stands before it was written by whoever it is."""
    client = peer
    for hop in reversed(hops):
        address = _parsed(hop)
        if address is None:
            return client
        client = str(address)
        if not proxies.believe(client):
            return client
    return client


def _base(said: dict[str, str], proxies: Proxies) -> BaseAddress | None:
    host, scheme, prefix = said.get("host", ""), said.get("proto", "http").lower(), said.get("prefix", "").rstrip("/")
    if not host or not proxies.allows(host) or scheme not in ("http", "https") or not _PREFIX.fullmatch(prefix):
        return None
    return BaseAddress(f"{scheme}://{host.lower()}{prefix}")


def _x_forwarded(headers: Headers) -> tuple[list[str], dict[str, str]]:
    """(hops, what the nearest proxy says): of host, proto and prefix the last value counts, which it wrote itself."""
    hops, said = [], {}
    for name, value in headers:
        if name == b"x-forwarded-for":
            hops += value.decode("latin-1").split(",")
        elif name in (b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-prefix"):
            said[name[12:].decode()] = value.decode("latin-1").rpartition(",")[2].strip()
    return [hop.strip() for hop in hops], said


def _forwarded(headers: Headers) -> tuple[list[str], dict[str, str]]:
    """The same from RFC 7239's header.

    >>> _forwarded([(b"forwarded", b'for=1.2.3.4;host=a, For="[2001:db8::1]:8000";proto=https;host="b"')])
    (['1.2.3.4', '[2001:db8::1]:8000'], {'proto': 'https', 'host': 'b'})
    """
    hops: list[str] = []
    said: dict[str, str] = {}
    for text in (value.decode("latin-1") for name, value in headers if name == b"forwarded"):
        for element in _elements(text):
            said = {key.lower(): _unquoted(value) for key, value in _PAIR.findall(element)}
            hops.append(said.pop("for", ""))
    return hops, said


def _elements(text: str) -> Iterable[str]:
    """Split at commas that are not within quotes."""
    return re.findall(r'(?:"(?:[^"\\]|\\.)*"|[^,"])+', text)


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') and len(value) > 1 else value


# bounded: clients write these. Reading one takes 2 microseconds, and each request has two or three
@lru_cache(maxsize=4_096)
def _parsed(text: str) -> _Address | None:
    """An address, with or without port; None for anything else, such as `unknown` or a made-up name.

    >>> [str(_parsed(text)) for text in ("1.2.3.4", "1.2.3.4:80", "[::1]:80", "::1", "::ffff:1.2.3.4", "unknown")]
    ['1.2.3.4', '1.2.3.4', '::1', '::1', '1.2.3.4', 'None']
    """
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def host_of(request: Request) -> str:
    """The address a trusted proxy was asked for, or the Host header, which only counts when it is allowed."""
    base: str | None = request.scope.get("base_address")
    if base is not None:
        return base
    for name, value in request.scope["headers"]:
        if name == b"host":
            return str(value.decode("latin-1"))
    return ""
