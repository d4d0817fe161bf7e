"""Which hosts a page may make a browser talk to: this catalog, the instances' confirmed hosts, and what is switched on.

The viewer has some hosts written into it. What is not switched on is answered in the page (static/guard.js) and refused
by the Content-Security-Policy that is made here: nobody learns which pictures somebody looks at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from catalog_api.index.registry import Registry
from federation.settings import Settings

#: What the viewer asks of hosts that are written into it, by the names of PANOFED_VIEWER_SERVICES.
SERVICES = {
    # names and icons of kinds of objects that pictures are tagged with
    "presets": ("https://presets.panoramax.fr/",),
    # the address of the place a picture shows: tells the geocoder which pictures are looked at
    "address": ("https://nominatim.openstreetmap.org/reverse",),
    "icons": (
        "https://api.iconify.design/",
        "https://api.simplesvg.com/",
        "https://api.unisvg.com/",
        "https://raw.githubusercontent.com/rapideditor/temaki/",
    ),
    "wikidata": ("https://www.wikidata.org/",),
    # how fast the connection is, where the browser does not say
    "speed": ("https://panoramax.openstreetmap.fr/images/",),
}
#: Geocoders that the viewer knows by name.
GEOCODERS = {
    "nominatim": "https://nominatim.openstreetmap.org/search",
    "ban": "https://data.geopf.fr/geocodage/search",
}

#: The remote control of the editor JOSM, on the reader's own machine.
JOSM = "http://127.0.0.1:8111"
#: A host that can stand in a policy: no address in brackets can, and nothing that would begin another directive.
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*(:\d{1,5})?")


def confirmed_sources(registry: Registry) -> list[str]:
    """The hosts that the instances' pictures come from."""
    return asset_sources(host for instance in registry.instances.values() for host in instance.hosts)


def asset_sources(hosts: Iterable[str]) -> list[str]:
    """Hosts as a policy names them; those without a port with any, as redirects go there too.

    >>> asset_sources(["a.example", "127.0.0.1:8001", "b.example; script-src *"])
    ['127.0.0.1:8001', 'a.example:*']
    """
    return sorted({host if ":" in host else f"{host}:*" for host in hosts if _HOST.fullmatch(host)})


def service_sources(settings: Settings) -> list[str]:
    """What the operator switched on: services of the viewer, the geocoder, the hosts of another base map."""
    sources = [prefix for name in switched_on(settings) for prefix in SERVICES[name]]
    if settings.geocoder:
        sources.append(GEOCODERS.get(settings.geocoder) or _without_query(settings.geocoder))
    if settings.map_style:
        sources.append(_origin(settings.map_style))
    sources.extend(filter(None, (part.strip() for part in settings.map_hosts.split(","))))
    return sources


def switched_on(settings: Settings) -> list[str]:
    """Names of the viewer's services that may be asked.

    >>> switched_on(Settings(viewer_services="presets, address"))
    ['presets', 'address']
    """
    return [name for name in (part.strip() for part in settings.viewer_services.split(",")) if name]


def silenced(settings: Settings) -> list[str]:
    """Beginnings of addresses that the page answers itself, with nothing."""
    on = switched_on(settings)
    return [prefix for name, prefixes in SERVICES.items() if name not in on for prefix in prefixes]


def map_policy(assets: Iterable[str], services: Iterable[str]) -> str:
    """For the page with the viewer. It may be framed anywhere: it has no login, and its share button says how."""
    hosts = " ".join([*assets, *services])
    return _policy(
        {
            "default-src": "'self'",
            "script-src": "'self'",
            # the viewer's components carry their style with them
            "style-src": "'self' 'unsafe-inline'",
            "font-src": "'self' data:",
            "worker-src": "blob:",
            "child-src": "blob:",
            "img-src": f"'self' data: blob: {hosts}",
            "connect-src": f"'self' data: blob: {JOSM} {hosts}",
            "frame-ancestors": "*",
        }
    )


def page_policy(assets: Iterable[str] = ()) -> str:
    """For every other page."""
    return _policy(
        {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": f"'self' {' '.join(assets)}",
            "connect-src": JOSM,
            "frame-ancestors": "'self'",
        }
    )


def live_policy(assets: Iterable[str] = ()) -> str:
    """For pages that follow what is going on, and draw charts of what this catalog tells."""
    return page_policy(assets).replace(f"connect-src {JOSM}", "connect-src 'self'")


def desk_policy(assets: Iterable[str] = ()) -> str:
    """For pages of those who are signed in: nobody frames them, and scripts ask nobody but this catalog."""
    return _policy(
        {
            "default-src": "'none'",
            "script-src": "'self'",
            "style-src": "'self'",
            "img-src": f"'self' {' '.join(assets)}",
            "connect-src": "'self'",
            "frame-ancestors": "'none'",
        }
    )


def _policy(directives: dict[str, str]) -> str:
    common = {"object-src": "'none'", "base-uri": "'none'", "form-action": "'self'"}
    return "; ".join(f"{name} {' '.join(value.split())}" for name, value in (directives | common).items())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _without_query(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"
