"""Hosts besides an instance's own that its pictures may lie on: how they are written down, how addresses name them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

#: An object storage, a CDN or two: more than these are no hosts of one instance.
HOSTS_MOST = 20
#: What a check calls one that nobody has confirmed.
OTHER_HOST = "other_host"
_LENGTH_MOST = 253
#: As a page's policy and a redirect name it: one name or IPv4 address, perhaps a port.
_HOST = re.compile(r"(?P<name>[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*)(:(?P<port>[0-9]{1,5}))?")
_PORTS = {"http": 80, "https": 443}


def clean_host(text: str) -> str:
    """`host` or `host:port` in the one form it is kept in; ValueError says what is wrong with it.

    >>> clean_host("CDN.example:8443")
    'cdn.example:8443'
    >>> clean_host("https://cdn.example")
    Traceback (most recent call last):
    ...
    ValueError: must be a host without 'https://' before it
    """
    host = text.strip().lower()
    scheme, slashes, _ = host.partition("://")
    if slashes:
        raise ValueError(f"must be a host without '{scheme[:20]}://' before it")
    if "/" in host or "?" in host or "#" in host:
        raise ValueError("must be a host without a path after it")
    if "@" in host:
        raise ValueError("must not contain a user name or password")
    if "*" in host:
        raise ValueError("must be one host: wildcards are not allowed")
    if not host.isascii():
        raise ValueError("must be written in ASCII, as 'xn--...'")
    found = _HOST.fullmatch(host)
    if found is None or len(found["name"]) > _LENGTH_MOST:
        raise ValueError("must be a host name or an IPv4 address, with ':' and a port where it has one")
    if found["port"] is not None and not 1 <= int(found["port"]) <= 65_535:
        raise ValueError(f"the port {found['port']} is not within 1 and 65,535")
    return host if found["port"] is None else f"{found['name']}:{int(found['port'])}"


def clean_hosts(texts: Iterable[str]) -> tuple[str, ...]:
    """A list of hosts, each once, in their order; ValueError names the one that is wrong.

    >>> clean_hosts(["b.example", "A.example", "B.example"])
    ('b.example', 'a.example')
    """
    hosts: dict[str, None] = {}
    for text in texts:
        try:
            hosts[clean_host(text)] = None
        except ValueError as error:
            raise ValueError(f"{text[:60]!r} {error}") from error
    if len(hosts) > HOSTS_MOST:
        raise ValueError(f"{len(hosts):,} hosts are too many: at most {HOSTS_MOST}")
    return tuple(hosts)


def host_named(href: str, base: str = "") -> str:
    """The host an address names, with its port where that is not its scheme's; "" where it names none as we keep them.

    >>> host_named("https://CDN.example:443/1.jpg"), host_named("/1.jpg", "https://a.example:8001/api")
    ('cdn.example', 'a.example:8001')
    """
    try:
        parts = urlsplit(urljoin(base, href))
        if parts.scheme not in _PORTS or "@" in parts.netloc:
            return ""
        usual = parts.port in (None, _PORTS[parts.scheme])
        return clean_host(parts.hostname or "" if usual else f"{parts.hostname}:{parts.port}")
    except ValueError:
        return ""


def is_among(href: str, hosts: Collection[str]) -> bool:
    """Whether the host of an absolute http(s) address is one of these; one without a port stands for every port.

    >>> [is_among(href, ["a.example", "b.example:443"]) for href in ("http://a.example:8001/1", "https://b.example/1")]
    [True, True]
    >>> [is_among(href, ["b.example:443"]) for href in ("https://b.example:8443/1", "http://b.example/1")]
    [False, False]
    """
    try:
        parts = urlsplit(href)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        return False
    if parts.scheme not in _PORTS or "@" in parts.netloc or not host:
        return False
    # an address may write its scheme's port or leave it out
    return not {host, parts.netloc.lower(), f"{host}:{port or _PORTS[parts.scheme]}"}.isdisjoint(hosts)


def hosts_found(findings: object) -> tuple[str, ...]:
    """The hosts that steps of a check found and nobody has confirmed yet, from their findings as they are kept.

    >>> hosts_found([{"code": OTHER_HOST, "values": {"host": "cdn.example"}}, {"code": "pictures", "values": {}}])
    ('cdn.example',)
    """
    told = [each for each in findings if isinstance(each, dict)] if isinstance(findings, list) else []
    hosts: dict[str, None] = {}
    for each in told:
        with suppress(ValueError):
            if each.get("code") == OTHER_HOST:
                hosts[clean_host(str(each["values"]["host"]))] = None
    return tuple(hosts)[:HOSTS_MOST]
