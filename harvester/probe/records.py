"""Steps that look at a few sequences and pictures with the eyes of the harvester, and whose they are."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import msgspec

from federation.assets import SIZES, asset_href
from federation.errors import RecordNotPublic, RecordRefused
from federation.record import Sequence, sequence_uuid
from harvester.accept import accept
from harvester.listing import Listed, decode_collections, read_entries
from harvester.probe.elsewhere import tell_hosts
from harvester.probe.probe import Probe, Verdict

_SEQUENCES = 5
_PICTURES = 10
#: Pictures that a moderator is shown, and the longest address of one.
_SAMPLES, _SAMPLE_LENGTH = 4, 1_000


async def check_sequences(probe: Probe) -> Verdict:
    """Some sequences can be read as they are, and are not held from another instance."""
    verdict = Verdict()
    answer = await probe.session.get(f"collections?limit={_SEQUENCES}", attempts=2)
    try:
        page = decode_collections.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        verdict.fail("malformed", url=answer.url, problem="no list of collections")
        return verdict
    entries, unreadable = read_entries(page.collections[:_SEQUENCES])
    if unreadable:
        verdict.fail("sequence_bad", field="id", problem=unreadable[0])
    for entry in entries:
        _check_sequence(probe, verdict, entry)
    if not probe.sequences and not verdict.findings:
        verdict.warn("sequences_none")
    elif not verdict.findings:
        verdict.ok("sequences", count=len(probe.sequences))
    await _check_holders(probe, verdict)
    return verdict


def _check_sequence(probe: Probe, verdict: Verdict, entry: Listed) -> None:
    if entry.raw is None:
        return
    try:
        Sequence.from_stac(entry.raw, instance=probe.url)
    except RecordNotPublic:
        return
    except RecordRefused as error:
        verdict.fail("sequence_bad", field=error.field, problem=error.problem)
    else:
        probe.sequences.append(entry)


async def _check_holders(probe: Probe, verdict: Verdict) -> None:
    """The same sequences from somebody else: the same server at another address, or a transfer."""
    ids = [sequence_uuid(entry.id, probe.url) for entry in probe.sequences]
    for name, held in (await probe.known.holders(ids)).items():
        (verdict.fail if held == len(ids) > 1 else verdict.warn)("held_already", name=name, held=held, of=len(ids))


async def check_pictures(probe: Probe) -> Verdict:
    """Some pictures can be read as they are."""
    verdict = Verdict()
    for entry in probe.sequences:
        page = await probe.client.sample(entry.id, _PICTURES)
        accepted, aside = accept(page, instance=probe.url, collection=entry.id, settings=probe.settings)
        for error, _ in list(aside.refused.values())[:3]:
            verdict.fail("picture_bad", field=error.field, problem=error.problem)
        probe.items = [_members(each) for each in page]
        if accepted or verdict.findings:
            if not verdict.findings:
                verdict.ok("pictures", count=len(accepted), samples=_samples(probe))
            await tell_hosts(probe, verdict, _files(probe))
            return verdict
    verdict.warn("pictures_none")
    return verdict


def _samples(probe: Probe) -> str:
    """Addresses of a few pictures with blanks between, for a moderator to see whether faces are blurred."""
    assets = [each["assets"] for each in probe.items if isinstance(each.get("assets"), dict)]
    hrefs = [asset_href(each, "sd") or asset_href(each, "thumb") for each in assets[:_SAMPLES]]
    found = [urljoin(f"{probe.url}/", href) for href in hrefs if href]
    return " ".join(href for href in found if len(href) <= _SAMPLE_LENGTH and not any(c.isspace() for c in href))


def _files(probe: Probe) -> list[str]:
    """Addresses of every size of the pictures looked at."""
    hrefs = [asset_href(each.get("assets"), size) for each in probe.items for size in SIZES]
    return [href for href in hrefs if href]


def _members(raw: msgspec.Raw) -> dict[str, Any]:
    try:
        members = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return members if isinstance(members, dict) else {}
