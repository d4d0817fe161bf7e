"""Where a record of a catalog comes from, by its `via` links: what comes from us, or from whom we ask, is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from federation.place import place_of


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
