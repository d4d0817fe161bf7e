"""Steps about files: whether web pages may show and read pictures in each size, and the tiles of the map."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

from federation.assets import SIZES, asset_href
from federation.errors import OriginError
from federation.outbound import Glance, OriginSession
from harvester.probe.elsewhere import tell_hosts
from harvester.probe.probe import Probe, Verdict, explained

_REDIRECTS = 3
#: Where redirects stand in for files, they lead to another host for instance.
_MOVED = frozenset({301, 302, 303, 307, 308})
_WORLD = ("0", "0", "0")


async def check_thumbnail(probe: Probe) -> Verdict:
    """One small picture can be fetched and read by a page of another site."""
    return await _check_sizes(probe, ("thumb",))


async def check_assets(probe: Probe) -> Verdict:
    """The same of every size."""
    return await _check_sizes(probe, SIZES)


async def _check_sizes(probe: Probe, sizes: tuple[str, ...]) -> Verdict:
    verdict = Verdict()
    item = next((each for each in probe.items if isinstance(each.get("assets"), dict)), None)
    if item is None:
        verdict.warn("assets_none")
        return verdict
    looked: set[str] = set()
    seen: list[str] = []
    for size in sizes:
        href = asset_href(item["assets"], size)
        if href is None:
            verdict.warn("asset_lacks", size=size)
        elif href not in looked:
            looked.add(href)
            seen.append(await _check_file(probe, verdict, size, urljoin(f"{probe.url}/", href)))
    if not verdict.findings:
        verdict.ok("assets", sizes=", ".join(sizes))
    # where they redirect to: pages let the viewer load from confirmed hosts only
    await tell_hosts(probe, verdict, filter(None, seen))
    return verdict


async def check_tiles(probe: Probe) -> Verdict:
    """The tiles of its map can be read by a page of another site, where it has a map."""
    verdict = Verdict()
    template = _tiles(probe.landing)
    if template is None:
        verdict.warn("tiles_none")
        return verdict
    for name, value in zip(("{z}", "{x}", "{y}"), _WORLD, strict=True):
        template = template.replace(name, value)
    await _check_file(probe, verdict, "tiles", urljoin(f"{probe.url}/", template))
    if not verdict.findings:
        verdict.ok("tiles")
    return verdict


def _tiles(landing: dict[str, Any]) -> str | None:
    links = landing.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") == "xyz" and isinstance(link.get("href"), str):
            return str(link["href"])
    return None


async def _check_file(probe: Probe, verdict: Verdict, what: str, url: str) -> str:
    """Where it is at last; "" when that cannot be looked at."""
    try:
        seen, opened = await _look(probe, url)
    except OriginError as error:
        code, values = explained(error)
        verdict.fail(code, **values)
        return ""
    if seen.status >= 400:
        verdict.fail("asset_status", what=what, url=seen.url, status=seen.status)
    elif not opened:
        verdict.fail("cors_asset_lacks", what=what, url=seen.url)
    return seen.url


async def _look(probe: Probe, url: str) -> tuple[Glance, bool]:
    """What is there at last, and whether every answer on the way may be read by our pages.

    Files may be on another host, which the guard judges as it does any.
    """
    opened = True
    for _ in range(_REDIRECTS + 1):
        async with OriginSession(
            probe.settings, url, turnstile=probe.session.turnstile, resolver=probe.resolver
        ) as session:
            seen = await session.glance(url, origin=probe.origin)
        opened = opened and seen.is_open_to(probe.origin)
        if seen.status not in _MOVED or "location" not in seen.headers:
            break
        url = urljoin(url, seen.headers["location"])
    return seen, opened
