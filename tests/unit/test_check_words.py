"""What checks say: every finding and step has its words, the same in every language, and each failure an advice."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from federation.check_words import LANGUAGES, check_words
from federation.checks import Finding
from federation.errors import (
    AddressRefused,
    CircuitOpen,
    HarvestUnwanted,
    OriginMalformed,
    OriginRefused,
    OriginUnreachable,
    Unreachable,
)
from harvester.probe.probe import explained
from harvester.probe.run import STEPS

ROOT = Path(__file__).parents[2]
_PLACE = re.compile(r"\{(\w+)\}")
#: What the steps call when something is as it should be, amiss or wrong; and in between by a condition.
_TOLD = re.compile(r"(?:\.(?:ok|warn|fail)|verdict\.fail\)|verdict\.warn\)|tell)\(\s*f?\"([a-z_{][^\"]*)\"")
_BOTH = re.compile(r'\("(\w+)" if \w+ else "(\w+)"')
FAULTS = [
    OriginRefused("x", status=status) for status in (401, 403, 404, 429, 500)
] + [OriginUnreachable("x", kind=kind) for kind in Unreachable] + [
    AddressRefused("10.0.0.1 is private"), AddressRefused("https://b is not the origin https://a"),
    CircuitOpen(5.0), HarvestUnwanted("x"), OriginMalformed("x"), OriginMalformed("not an HTTP answer: secret"),
]  # fmt: skip


def texts(language: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = orjson.loads((ROOT / f"federation/words/check.{language}.json").read_bytes())
    return found


def told() -> set[str]:
    """Every finding that a step can make."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "harvester/probe").glob("*.py"))
    plain = set(_TOLD.findall(source)) | {code for pair in _BOTH.findall(source) for code in pair}
    made = {"proved_{": ("well_known", "dns", "configuration"), "blurring_{": ("automatic", "by_hand")}
    for start, ends in made.items():
        plain = {code for code in plain if not code.startswith(start)} | {start[:-1] + end for end in ends}
    return plain | {explained(fault)[0] for fault in FAULTS}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_finding_and_step_has_its_words_and_no_other(language: str) -> None:
    assert set(texts(language)["steps"]) == set(STEPS)
    assert set(texts(language)["seen"]) == told()
    assert set(texts(language)["advice"]) <= told()


def test_languages_say_the_same() -> None:
    english = texts("en")
    for language in LANGUAGES[1:]:
        other = texts(language)
        for part in ("steps", "seen", "advice"):
            assert other[part].keys() == english[part].keys()
            for key, text in english[part].items():
                assert set(_PLACE.findall(other[part][key])) == set(_PLACE.findall(text)), key


def test_every_fault_has_an_advice() -> None:
    for fault in FAULTS:
        code, values = explained(fault)
        finding = Finding(code=code, values=values)
        assert check_words("en").advice(finding), code
        assert "?" not in check_words("en").seen(finding), code
        assert "secret" not in check_words("en").seen(finding)


def test_a_value_is_never_taken_for_a_text() -> None:
    finding = Finding(code="licence", values={"licence": "{licence.__class__} {0} {"})
    assert check_words("en").seen(finding) == "The licence is {licence.__class__} {0} {."
    assert check_words("../en").seen(finding) == check_words("en").seen(finding)
    assert check_words("en").seen(Finding(code="of a newer version")) == "of a newer version"
