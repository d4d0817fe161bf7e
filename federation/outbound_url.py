"""Which URLs a visit may ask for: the base URL it starts from, and then only what lies on that URL's own origin."""

from __future__ import annotations

from yarl import URL

from federation.addresses import is_loopback_host, why_host_refused
from federation.errors import AddressRefused
from federation.settings import Settings

_DEFAULT_PORTS = {"http": 80, "https": 443}


def allowed_base(settings: Settings, base_url: str, instance: str) -> URL:
    """Parse the URL of an instance; raises AddressRefused, naming why, when it may not be visited."""
    url = parsed(base_url, base_url, instance)
    problem = _why_base_refused(settings, url)
    if problem is not None:
        raise AddressRefused(problem, instance=instance, url=shown(url))
    return url.with_query(None).with_fragment(None)


def _why_base_refused(settings: Settings, url: URL) -> str | None:
    host, loopback = url.raw_host or "", settings.outbound_allow_loopback
    if url.scheme not in _DEFAULT_PORTS or not host:
        return f"{shown(url)!r} is not an http(s) address"
    if url.raw_user is not None or url.raw_password is not None:
        return "an address with a user name or password is not followed"
    if url.scheme == "http" and not settings.outbound_allow_http:
        return "http without TLS is not allowed (setting outbound_allow_http)"
    problem = why_host_refused(host, allow_loopback=loopback)
    if problem is not None:
        return problem
    if url.port in settings.outbound_ports or (loopback and is_loopback_host(host)):
        return None
    return f"port {url.port} is not allowed (setting outbound_ports)"


def target_url(base: URL, url: str, instance: str) -> URL:
    """The address to ask for: `url` itself when absolute, else a path below `base`. AddressRefused off its origin.

    >>> target_url(URL("https://a.example.org/geo"), "/api/collections?limit=1", "a")
    URL('https://a.example.org/geo/api/collections?limit=1')
    >>> target_url(URL("https://a.example.org"), "https://b.example.org/api", "a")
    Traceback (most recent call last):
    ...
    federation.errors.AddressRefused: https://b.example.org is not the origin https://a.example.org
    """
    absolute = url if "://" in url[:12] else f"{str(base).rstrip('/')}/{url.lstrip('/')}"
    return own_url(base, parsed(absolute, url, instance), instance)


def redirected_url(base: URL, asked: URL, location: str, instance: str) -> URL:
    """Where a redirect of `asked` leads to; raises AddressRefused when that is off the origin of `base`."""
    try:
        return own_url(base, asked.join(URL(location)), instance)
    except ValueError as error:
        raise AddressRefused(
            f"redirected to {location[:200]!r}, which is not an address", instance=instance, url=str(asked)
        ) from error


def own_url(base: URL, url: URL, instance: str) -> URL:
    """`url` without its fragment; raises AddressRefused unless scheme, host and port are those of `base`."""
    if url.scheme not in _DEFAULT_PORTS or not url.host or url.raw_user is not None or url.raw_password is not None:
        raise AddressRefused(f"{shown(url)} is not an address on {base.origin()}", instance=instance, url=shown(url))
    # not `url.origin() == base.origin()`: for yarl an address with and one without its default port differ
    if (url.scheme, url.raw_host, url.port) != (base.scheme, base.raw_host, base.port):
        raise AddressRefused(f"{url.origin()} is not the origin {base.origin()}", instance=instance, url=shown(url))
    return url.with_fragment(None)


def parsed(text: str, asked: str, instance: str) -> URL:
    """`text` as a URL; raises AddressRefused when it is none."""
    try:
        url = URL(text)
        _ = url.host, url.port  # parsed late: a bad port shows only now
    except ValueError as error:
        raise AddressRefused(
            f"{asked[:200]!r} is not a usable address: {error}", instance=instance, url=asked[:200]
        ) from error
    return url


def shown(url: URL) -> str:
    """The address without its credentials, for messages and records."""
    private = url.host and (url.raw_user is not None or url.raw_password is not None)
    return str(url.with_user(None) if private else url)[:2000]
