"""Relative addresses in what an instance says: served from here they would lead to us, so they are made absolute."""

from __future__ import annotations

import re
from urllib.parse import urljoin

import msgspec
import orjson

from federation.errors import RecordRefused

#: An address that does not begin with a scheme, for example "./a.jpg", "/a.jpg" or "?b".
_RELATIVE = re.compile(rb'"href"\s*:\s*"(?![a-zA-Z][a-zA-Z0-9+.-]*:)')


def is_relative(text: bytes | msgspec.Raw) -> bool:
    """Whether an asset or link in this JSON has a relative address.

    >>> is_relative(b'[{"href": "https://a.org/1.jpg"}]'), is_relative(b'[{"href": "../1.jpg"}]')
    (False, True)
    """
    return _RELATIVE.search(bytes(text)) is not None


def absolute_assets(assets: msgspec.Raw, base: str) -> msgspec.Raw:
    """The assets of an item at `base`, its own address, with absolute addresses.

    >>> bytes(absolute_assets(msgspec.Raw(b'{"hd": {"href": "./1.jpg"}}'), "https://a.org/items/x"))
    b'{"hd":{"href":"https://a.org/items/1.jpg"}}'
    """
    return _absolute(assets, base, "assets")


def absolute_links(links: msgspec.Raw, base: str) -> msgspec.Raw:
    """The same of links."""
    return _absolute(links, base, "links")


def _absolute(text: msgspec.Raw, base: str, field: str) -> msgspec.Raw:
    try:
        document = orjson.loads(bytes(text))
        entries = document.values() if isinstance(document, dict) else document
        for entry in entries:
            if isinstance(entry.get("href"), str):
                entry["href"] = urljoin(base, entry["href"])
        return msgspec.Raw(orjson.dumps(document))
    except (ValueError, AttributeError, TypeError) as error:
        raise RecordRefused(field, f"an address in it cannot be read: {error}") from error
