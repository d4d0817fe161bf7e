"""Where a server is, whichever of its addresses was written down: what two addresses of one instance have in common."""

from __future__ import annotations

from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


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
