"""Steps about following an instance: whether it says what changed and what is gone, and how long reading it takes."""

from __future__ import annotations

from harvester.listing import Listing
from harvester.probe.probe import Probe, Verdict

#: Slower than this, a first crawl of a million pictures takes more than eight hours.
_SLOW_S = 30.0


async def check_changes(probe: Probe) -> Verdict:
    """It can be asked what changed since a moment, deletions included; else everything is read again and again."""
    verdict = Verdict()
    await probe.client.prepare()
    capabilities = probe.client.capabilities
    listing = Listing(capabilities.listing)
    if listing is Listing.LINKS:
        (verdict.fail if probe.is_geovisio else verdict.warn)("changes_none")
    elif listing is Listing.UPDATED:
        verdict.warn("changes_by_time")
    else:
        verdict.ok("changes")
    if capabilities.kind == "catalog":
        verdict.warn("is_catalog")
    return verdict


async def check_pace(probe: Probe) -> Verdict:
    """How long it takes to answer a thousand pictures, one request after the other."""
    verdict = Verdict()
    wanted, read, before_s = probe.settings.check_pictures, 0, probe.session.answers.answering_s
    for entry in probe.sequences:
        async for _, page in probe.client.pictures(entry.id):
            read += len(page)
            if read >= wanted:
                break
        if read >= wanted:
            break
    took_s = probe.session.answers.answering_s - before_s
    if read == 0:
        verdict.warn("pictures_none")
        return verdict
    seconds = round(took_s * 1_000 / read, 2)
    if seconds > _SLOW_S:
        verdict.warn("pace_slow", seconds=seconds, read=read)
    else:
        verdict.ok("pace", seconds=seconds, read=read)
    return verdict


async def check_blurring(probe: Probe) -> Verdict:
    """What its operator says of faces and number plates; a person looks at pictures before it is let in."""
    verdict = Verdict()
    if probe.blurring in ("automatic", "by-hand"):
        verdict.ok(f"blurring_{probe.blurring.replace('-', '_')}")
    else:
        verdict.warn("blurring_none")
    return verdict
