"""Where a server is, whichever of its addresses was written down: what two addresses of one instance have in common."""

from __future__ import annotations

from urllib.parse import urlsplit

from yarl import URL

_PORTS = {"http": 80, "https": 443}


def place_of(url: str) -> str:
    """Host, port and path of a server, whichever of its addresses was written down.

    >>> place_of("https://Panoramax.example:443/api/"), place_of("https://panoramax.example")
    ('panoramax.example:443', 'panoramax.example:443')
    >>> place_of("http://127.0.0.1:8080/stac/api")
    '127.0.0.1:8080/stac'
    >>> place_of("https://rué.example/api") == place_of("https://xn--ru-cja.example.")
    True
    >>> place_of("no address")
    ''
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme)
        # as the name server knows it, whatever letters it is written with
        host = (URL(url).raw_host or "").rstrip(".").lower()
    except ValueError:
        return ""
    if not host or port is None:
        return ""
    return f"{host}:{port}{parts.path.rstrip('/').removesuffix('/api')}"
