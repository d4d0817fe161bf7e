"""Pictures on other hosts than the instance's: they are shown only once somebody has confirmed these hosts."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urljoin, urlsplit

from federation.addresses import why_host_refused
from federation.asset_hosts import HOSTS_MOST, host_named, is_among
from federation.place import place_of
from harvester.probe.probe import Probe, Verdict


async def tell_hosts(probe: Probe, verdict: Verdict, hrefs: Iterable[str]) -> None:
    """Tell of each host besides its own that these addresses name, once: confirmed, to be confirmed, or impossible."""
    own = urlsplit(probe.url).netloc
    for href in hrefs:
        host = host_named(href, f"{probe.url}/")
        if not host or host in probe.hosts or is_among(urljoin(f"{probe.url}/", href), {own}):
            continue
        if len(probe.hosts) == HOSTS_MOST:
            verdict.warn("other_hosts_many", most=HOSTS_MOST)
            return
        probe.hosts.append(host)
        problem = why_host_refused(host.partition(":")[0], allow_loopback=probe.settings.outbound_allow_loopback)
        if problem is not None:
            verdict.fail("other_host_refused", problem=problem)
        elif is_among(urljoin(f"{probe.url}/", href), await probe.known.asset_hosts(place_of(probe.url))):
            verdict.ok("other_host_confirmed", host=host)
        else:
            verdict.warn("other_host", host=host)
