"""What steps of a check saw, and what to do about it, in words of people: each language has its file in words/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from federation.checks import Finding

_WORDS = Path(__file__).with_name("words")
#: The first is for those who read none of them.
LANGUAGES = ("en", "fr")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckWords:
    """The texts of one language."""

    steps: Mapping[str, str]
    seen_texts: Mapping[str, str]
    advice_texts: Mapping[str, str]

    def title(self, step: str) -> str:
        """What a step is called."""
        return self.steps.get(step, step)

    def seen(self, finding: Finding) -> str:
        """What was seen.

        >>> check_words("en").seen(Finding(code="status", values={"url": "https://a.example/api", "status": 502}))
        'https://a.example/api answers with status 502.'
        """
        return self._said(self.seen_texts, finding) or finding.code

    def advice(self, finding: Finding) -> str:
        """What to do about it; "" where nothing is to be done."""
        return self._said(self.advice_texts, finding)

    def _said(self, texts: Mapping[str, str], finding: Finding) -> str:
        # a finding of a newer version may have other values than this one's text
        return texts.get(finding.code, "").format_map(_Values(finding.values))


class _Values(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "?"


@cache
def check_words(language: str) -> CheckWords:
    """The texts in a language, or in English where there are none."""
    code = language if language in LANGUAGES else LANGUAGES[0]
    texts = orjson.loads((_WORDS / f"check.{code}.json").read_bytes())
    return CheckWords(steps=texts["steps"], seen_texts=texts["seen"], advice_texts=texts["advice"])
