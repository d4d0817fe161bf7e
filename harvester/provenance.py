"""Where a record of a catalog comes from, by its `via` links: what comes from us, or from whom we ask, is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

_PORTS = {"http": 80, "https": 443}


class _Link(msgspec.Struct):
    rel: str = ""
    href: str = ""
    instance_name: str | None = None


class _Linked(msgspec.Struct):
    links: list[_Link] = []


_linked = msgspec.json.Decoder(_Linked)


def via_of(raw: bytes | msgspec.Raw) -> list[str]:
    """The addresses that the `via` links of a collection or item name; none where its links cannot be read."""
    try:
        links = _linked.decode(raw).links
    except (msgspec.DecodeError, UnicodeDecodeError):
        return []
    return [link.href for link in links if link.rel == "via" and link.instance_name is not None]


def is_catalog(raw: msgspec.Raw) -> bool:
    """Whether who shows this record has it from somebody else."""
    return bool(via_of(raw))


def place_of(url: str) -> str:
    """Host, port and path of a server, whichever of its addresses was written down.

    >>> place_of("https://Panoramax.example:443/api/"), place_of("https://panoramax.example")
    ('panoramax.example:443', 'panoramax.example:443')
    >>> place_of("http://127.0.0.1:8080/stac/api")
    '127.0.0.1:8080/stac'
    >>> place_of("no address")
    ''
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return ""
    if not parts.hostname or port is None:
        return ""
    return f"{parts.hostname}:{port}{parts.path.rstrip('/').removesuffix('/api')}"


@dataclass(frozen=True, slots=True)
class Known:
    """Places whose records are not taken from anybody else: ours, and the instances that are harvested directly."""

    places: frozenset[str] = frozenset()

    @staticmethod
    def of(urls: Iterable[str]) -> Known:
        """The places of these addresses."""
        return Known(frozenset(place for url in urls if (place := place_of(url))))

    def names(self, raw: bytes | msgspec.Raw) -> bool:
        """Whether a record comes from one of them, directly or through others."""
        return bool(self.places) and any(place_of(href) in self.places for href in via_of(raw))
