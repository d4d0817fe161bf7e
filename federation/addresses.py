"""Which addresses and host names may be connected to: pure rules, no socket is opened and no name is resolved here.

An address passes when it is globally routable unicast; loopback only when the caller allows it. Everything else
(private, special, tunnelled) is refused with its reason, so that no instance can lead us into somebody's own network.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

# `ipaddress.is_global` is not enough: it passes NAT64, 6to4, multicast and site-local, and trusts mapped forms.
REFUSED_V4: tuple[tuple[IPv4Network, str], ...] = tuple(
    (IPv4Network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

# Only 2000::/3 is global unicast: outside it everything is refused, these entries give the reason its name.
GLOBAL_V6 = IPv6Network("2000::/3")
REFUSED_V6: tuple[tuple[IPv6Network, str], ...] = tuple(
    (IPv6Network(network), kind)
    for network, kind in (
        ("::1/128", "loopback"),
        ("::/128", "unspecified"),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0/96", "IPv4-mapped"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "NAT64"),
        ("100::/64", "discard-only"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarking"),
        ("2001:10::/28", "ORCHID"),
        ("2001:20::/28", "ORCHID"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("3ffe::/16", "reserved"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

# Names that never are a public server (RFC 6761, 6762, 7686, 8375, and the ICANN reservation of .internal);
# asking a resolver for them would send packets into the local network.
PRIVATE_NAMES = ("invalid", "test", "example", "local", "internal", "onion", "alt", "home.arpa", "localdomain", "lan")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# What `inet_aton` takes for IPv4 besides four plain decimals: 2130706433, 127.1, 0x7f.1, 0177.0.0.1
_NUMBERS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+))*\.?", re.IGNORECASE)


def why_address_refused(address: str, *, allow_loopback: bool = False) -> str | None:
    """Say why `address` (an IP address as the socket layer spells it) may not be connected to; None when it may.

    >>> why_address_refused("2001:41d0:1::1"), why_address_refused("51.68.1.1")
    (None, None)
    >>> why_address_refused("10.1.2.3")
    '10.1.2.3 is private'
    >>> why_address_refused("::ffff:127.0.0.1", allow_loopback=True)
    '::ffff:127.0.0.1 is IPv4-mapped'
    >>> why_address_refused("127.0.0.1"), why_address_refused("127.0.0.1", allow_loopback=True)
    ('127.0.0.1 is loopback', None)
    """
    try:
        kind = _refused_kind(ip_address(address))
    except ValueError:
        return f"{address!r} is not an IP address"
    if kind is None or (kind == "loopback" and allow_loopback):
        return None
    return f"{address} is {kind}"


def _refused_kind(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((kind for network, kind in REFUSED_V4 if address in network), None)
    kind = next((kind for network, kind in REFUSED_V6 if address in network), None)
    return kind or (None if address in GLOBAL_V6 else "reserved")


def why_host_refused(host: str, *, allow_loopback: bool = False) -> str | None:
    """Say why `host`, as written in a URL (name or IP literal, no brackets), is refused; None when it may be tried.

    A name that passes is still only a name: what it resolves to is judged by `why_address_refused`.

    >>> why_host_refused("panoramax.ign.fr")
    >>> why_host_refused("0x7f.1", allow_loopback=True)
    '0x7f.1 is not a plainly written IPv4 address'
    >>> why_host_refused("printer.local")
    'printer.local is a name of a private network'
    >>> why_host_refused("localhost"), why_host_refused("localhost", allow_loopback=True)
    ('localhost is loopback', None)
    """
    if ":" in host or _NUMBERS.fullmatch(host):
        return _why_literal_refused(host, allow_loopback)
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return None if allow_loopback else f"{host} is loopback"
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in name.split(".")):
        return f"{host[:260]!r} is not a host name"
    if "." not in name:
        return f"{host!r} is not a full host name"
    if any(name == suffix or name.endswith("." + suffix) for suffix in PRIVATE_NAMES):
        return f"{host} is a name of a private network"
    return None


def _why_literal_refused(host: str, allow_loopback: bool) -> str | None:
    try:
        ip_address(host.replace("%", "/"))  # an IPv6 zone (fe80::1%eth0) names a network of this machine
    except ValueError:
        kind = "IPv6" if ":" in host else "IPv4"
        return f"{host} is not a plainly written {kind} address"
    return why_address_refused(host, allow_loopback=allow_loopback)


def is_loopback_host(host: str) -> bool:
    """Tell whether `host` plainly names this machine: localhost, 127.0.0.0/8 or ::1.

    >>> is_loopback_host("127.0.0.1"), is_loopback_host("localhost"), is_loopback_host("panoramax.ign.fr")
    (True, True, False)
    """
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    return address in ip_network("127.0.0.0/8") or address == IPv6Address("::1")
