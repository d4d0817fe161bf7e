"""Steps about what an instance says of itself in /api/configuration: who it is, whom to write to, the licence."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from federation.errors import OriginRefused
from harvester.probe.probe import Probe, Verdict
from harvester.probe.reach import read_object

#: Where the operator of a Panoramax instance sets all of these.
_SETTING = "API_SUMMARY"
#: Without these nobody knows whose pictures these are, or whom to write to.
_NEEDED = ("name", "email")
_WISHED = ("description", "logo", "color", "geo_coverage")
_COLOUR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?")
#: What pictures of streets are published under; others are as welcome, these are what a misspelt one may mean.
_COMMON = ("etalab-2.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0", "ODbL-1.0", "CC-BY-2.0", "CC-BY-SA-2.0", "OGL-UK-3.0")


async def check_configuration(probe: Probe) -> Verdict:
    """It says its name, what it is for, whom to write to, its colour, logo and the area it covers."""
    verdict = Verdict()
    try:
        answer = await probe.session.get("configuration", attempts=2)
    except OriginRefused as error:
        if error.status != 404:
            raise
        (verdict.fail if probe.is_geovisio else verdict.warn)("configuration_none")
        return verdict
    members = read_object(answer)
    if members is None:
        verdict.fail("malformed", url=answer.url, problem="no JSON object")
        return verdict
    probe.configuration = members
    _check_members(probe, verdict, members)
    colour = members.get("color")
    if isinstance(colour, str) and colour and not _COLOUR.fullmatch(colour):
        verdict.warn("colour", setting=_SETTING)
    if not verdict.findings:
        verdict.ok("configuration", name=said(members.get("name")))
    return verdict


def _check_members(probe: Probe, verdict: Verdict, members: dict[str, Any]) -> None:
    lacking = [member for member in (*_NEEDED, *_WISHED) if not said(members.get(member))]
    needed = [member for member in lacking if member in _NEEDED]
    wished = [member for member in lacking if member in _WISHED]
    if needed:
        tell = verdict.fail if probe.is_geovisio else verdict.warn
        tell("configuration_lacks", member=", ".join(needed), setting=_SETTING)
    if wished:
        verdict.warn("configuration_lacks", member=", ".join(wished), setting=_SETTING)


async def check_licence(probe: Probe) -> Verdict:
    """Its licence has a name that everybody knows (SPDX), and pictures are not under another one."""
    verdict = Verdict()
    licence = (probe.configuration or {}).get("license")
    licence = licence.get("id") if isinstance(licence, dict) else licence
    if not isinstance(licence, str) or licence.strip().lower() in ("", "proprietary", "various"):
        (verdict.fail if probe.is_geovisio else verdict.warn)("licence_none")
        return verdict
    known = spdx(licence)
    if known is None:
        near = get_close_matches(licence.lower(), [each.lower() for each in _COMMON], 1, 0.5)
        meant = next((each for each in _COMMON if near and each.lower() == near[0]), "")
        verdict.warn("licence_unknown_near" if meant else "licence_unknown", licence=licence, meant=meant)
    elif known != licence:
        verdict.warn("licence_spelt", licence=licence, meant=known)
    else:
        verdict.ok("licence", licence=known)
    return verdict


def spdx(licence: str) -> str | None:
    """A licence as the SPDX list spells it; None when it has none of that name.

    >>> spdx("Etalab-2.0"), spdx("CC-BY-SA-4.0"), spdx("etalab"), spdx("LicenseRef-mine")
    ('etalab-2.0', 'CC-BY-SA-4.0', None, None)
    """
    try:
        known = str(canonicalize_license_expression(licence[:200]))
    except (InvalidLicenseExpression, ValueError):
        return None
    return None if known.startswith("LicenseRef-") else known


def said(value: Any) -> str:
    """A text of a configuration, which may be in several languages.

    >>> said({"label": "Here", "langs": {"en": "Here"}}), said("Here"), said({"en": "Here"}), said(None)
    ('Here', 'Here', 'Here', '')
    """
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, dict):
        texts = [value.get("label"), *(value.values())]
        return next((each.strip() for each in texts if isinstance(each, str) and each.strip()), "")
    return ""
