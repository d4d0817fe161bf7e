"""Steps about the API as a whole: what it conforms to, its version, its clock, whether web pages may read it."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from harvester.probe.probe import Probe, Verdict

#: What is needed: the end of a class's address, and what people call it.
_NEEDED = (("ogcapi-features-1/1.0/conf/core", "OGC API Features"),)
_EXPECTED = (
    ("/core", "STAC API Core"),
    ("/collections", "STAC API Collections"),
    ("/ogcapi-features", "STAC API Features"),
    ("/item-search", "STAC API Item Search"),
)
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})[\w.+-]{0,40}", re.ASCII)
#: Before 2.11 tombstones are asked for in another way, before 2.9 nothing can be paged by id.
_WISHED = (2, 11)
_SKEW_S = 60
_SKEW_MOST_S = 3_600


def conforms(landing: dict[str, Any]) -> list[str]:
    """The conformance classes a landing page names."""
    classes = landing.get("conformsTo")
    return [each for each in classes if isinstance(each, str)] if isinstance(classes, list) else []


async def check_conformance(probe: Probe) -> Verdict:
    """It says that it can do what is needed to read it."""
    verdict = Verdict()
    classes = conforms(probe.landing)
    needed = [name for end, name in _NEEDED if not any(each.endswith(end) for each in classes)]
    stac = [each for each in classes if "stacspec.org" in each]
    wished = [name for end, name in _EXPECTED if not any(each.endswith(end) for each in stac)]
    if needed:
        # a Panoramax instance is known to do it, whatever it says
        (verdict.warn if probe.is_geovisio else verdict.fail)("conformance_lacks", name=", ".join(needed))
    if wished:
        verdict.warn("conformance_lacks", name=", ".join(wished))
    if not verdict.findings:
        verdict.ok("conformance", count=len(classes))
    return verdict


async def check_version(probe: Probe) -> Verdict:
    """Which software it is."""
    verdict = Verdict()
    text = probe.landing.get("geovisio_version")
    found = _VERSION.match(text) if isinstance(text, str) else None
    if found is None:
        verdict.warn("other_software")
    elif (int(found[1]), int(found[2])) < _WISHED:
        verdict.warn("version_old", version=found[0], wished=".".join(map(str, _WISHED)))
    else:
        verdict.ok("version", version=found[0])
    return verdict


async def check_clock(probe: Probe) -> Verdict:
    """Its clock and ours agree, by the Date header of its landing page."""
    verdict = Verdict()
    said = None if probe.front is None else probe.front.date()
    if probe.front is None or said is None:
        verdict.warn("clock_silent")
        return verdict
    skew_s = round((said - datetime.now(UTC)).total_seconds())
    if abs(skew_s) >= _SKEW_MOST_S:
        verdict.fail("clock_wrong", seconds=skew_s)
    elif abs(skew_s) >= _SKEW_S:
        verdict.warn("clock_wrong", seconds=skew_s)
    else:
        verdict.ok("clock")
    return verdict


async def check_cors(probe: Probe) -> Verdict:
    """Pages of other sites may read its API: viewers do."""
    verdict = Verdict()
    seen = await probe.session.glance("collections?limit=1", origin=probe.origin)
    if seen.status >= 400:
        verdict.fail("status", url=seen.url, status=seen.status)
    elif seen.is_open_to(probe.origin):
        verdict.ok("cors_api")
    else:
        verdict.fail("cors_api_lacks", url=seen.url)
    return verdict
