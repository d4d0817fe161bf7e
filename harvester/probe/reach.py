"""Steps that find out whether an instance is there and lets us in: address, certificate, robots.txt, landing page."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from federation.errors import OriginError, OriginRefused
from federation.outbound import Answer
from federation.outbound_tls import certificate_until
from federation.place import place_of
from federation.robots import read_rules
from harvester.consent import opted_out
from harvester.probe.probe import Probe, Verdict

#: A certificate is renewed a month before its end; who has less than this left has forgotten it.
_RENEWED_BEFORE = timedelta(days=14)


async def check_address(probe: Probe) -> Verdict:
    """The address is not that of an instance that is known already; whether it may be asked, its session knows."""
    verdict = Verdict()
    place = place_of(probe.url)
    names = await probe.known.at(place)
    if probe.settings.public_url and place == place_of(probe.settings.public_url):
        verdict.fail("ourselves")
    elif names:
        verdict.fail("known", name=names[0])
    else:
        verdict.ok("new")
    return verdict


async def check_tls(probe: Probe) -> Verdict:
    """It is reached over https, and its certificate will be good for a while."""
    verdict = Verdict()
    if urlsplit(probe.url).scheme != "https":
        verdict.warn("plain_http")
        return verdict
    until = await certificate_until(probe.settings, probe.url, resolver=probe.resolver)
    left = until - datetime.now(UTC)
    if left < _RENEWED_BEFORE:
        verdict.warn("tls_ends", days=left.days, day=f"{until:%Y-%m-%d}")
    else:
        verdict.ok("tls_good", day=f"{until:%Y-%m-%d}")
    return verdict


async def check_robots(probe: Probe) -> Verdict:
    """Its robots.txt lets us in. Who has none allows everything."""
    verdict = Verdict()
    try:
        answer = await probe.session.get(probe.session.robots_url, accept="text/plain", attempts=1)
    except OriginError:  # where nobody answers, the landing page tells more
        verdict.ok("no_robots")
        return verdict
    base = probe.session.base_url.rstrip("/")
    rules = read_rules(answer.body, (f"{base}/", f"{base}/collections", f"{base}/collections/x/items"))
    if rules.refused:
        verdict.fail("robots", rule=rules.refused)
    elif rules.crawl_delay_s:
        verdict.ok("robots_delay", seconds=rules.crawl_delay_s)
        probe.session.turnstile.at_most(1 / rules.crawl_delay_s)
    else:
        verdict.ok("robots_allow")
    return verdict


async def check_landing(probe: Probe) -> Verdict:
    """Its landing page is that of a STAC API, at the address that was given."""
    verdict = Verdict()
    try:
        answer = await probe.session.get("", attempts=2)
    except OriginRefused as error:
        if error.status == 404 and await _is_below(probe):
            verdict.fail("landing_below", url=f"{probe.url}/api")
            return verdict
        raise
    members = read_object(answer)
    if members is None:
        below = not probe.url.endswith("/api") and await _is_below(probe)
        kind = answer.headers.get("content-type", "-")
        if below:
            verdict.fail("landing_below", url=f"{probe.url}/api")
        else:
            verdict.fail("landing_no_json", kind=kind)
        return verdict
    why = opted_out(answer)
    if why is not None:
        verdict.fail("opted_out")
        return verdict
    probe.front, probe.landing = answer, members
    probe.client.keep_landing(answer)
    if not str(members.get("stac_version", "")).startswith("1"):
        verdict.fail("landing_no_stac")
        return verdict
    if answer.url.rstrip("/") != probe.session.base_url.rstrip("/"):
        verdict.warn("redirected", url=answer.url)
    verdict.ok("landing", stac=str(members["stac_version"]))
    return verdict


async def _is_below(probe: Probe) -> bool:
    """Whether the landing page is at /api instead, as it is of most instances."""
    try:
        answer = await probe.session.get("api", attempts=1)
    except OriginError:
        return False
    members = read_object(answer)
    return members is not None and "stac_version" in members


def read_object(answer: Answer) -> dict[str, Any] | None:
    """The members of a JSON object; None when the answer is none."""
    try:
        members = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return members if isinstance(members, dict) else None
