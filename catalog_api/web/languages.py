"""The languages of the pages: which one somebody reads, and every text in it. Each has its files in words/."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import orjson

from catalog_api.edge.responses import BadRequest

#: By code, as each calls itself. The first is for those who read none of them.
LANGUAGES = {"en": "English", "fr": "Français"}
_DEFAULT = next(iter(LANGUAGES))
_WORDS = Path(__file__).with_name("words")
#: A thin space that no line ends at, as French groups digits.
_GROUPS = {"en": ",", "fr": "\N{NARROW NO-BREAK SPACE}"}
_DECIMALS = {"en": ".", "fr": ","}


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    code: str
    texts: Mapping[str, str]

    def say(self, key: str, **values: object) -> str:
        """The text of this name, its {places} filled in."""
        return self.texts[key].format(**values) if values else self.texts[key]

    def count(self, key: str, number: int) -> str:
        """So many of something: `key` names the text for many, and with "_one" behind it that for one."""
        return self.say(f"{key}_one" if number == 1 else key, n=self.number(number))

    def number(self, value: int) -> str:
        """A whole number with its digits in groups.

        >>> Words("en", {}).number(1234567)
        '1,234,567'
        """
        return f"{value:,}".replace(",", _GROUPS[self.code])

    def length(self, metres: float) -> str:
        """A distance.

        >>> Words("en", {}).length(950.4), Words("fr", {}).length(12_345.0), Words("en", {}).length(1_234_567.0)
        ('950 m', '12,3 km', '1,235 km')
        """
        if metres < 999.5:
            return f"{metres:.0f} m"
        km = metres / 1_000
        return f"{self.number(round(km))} km" if km >= 100 else f"{km:.1f} km".replace(".", _DECIMALS[self.code])


def words_for(asked: str | None, accepted: str) -> Words:
    """The language that was asked for by name, or else the one that the browser likes best (Accept-Language).

    >>> [words_for(None, each).code for each in ("fr-CH, fr;q=0.9, en;q=0.8", "de, en;q=0.5, fr;q=0.1", "de", "")]
    ['fr', 'en', 'en', 'en']
    >>> words_for("fr", "en").code
    'fr'
    """
    if asked:
        if asked not in LANGUAGES:
            raise BadRequest("lang", asked, f"is none of {', '.join(LANGUAGES)}")
        return _read(asked)
    return _read(_liked(accepted))


def _liked(accepted: str) -> str:
    best, most = _DEFAULT, 0.0
    for part in accepted[:1_000].lower().split(","):
        tag, _, parameter = part.partition(";")
        code = tag.strip().partition("-")[0]
        weight = _weight(parameter)
        if code in LANGUAGES and weight > most:
            best, most = code, weight
    return best


def _weight(parameter: str) -> float:
    key, _, value = parameter.strip().partition("=")
    if key.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


@cache
def _read(code: str) -> Words:
    texts: dict[str, str] = {}
    for path in sorted([*_WORDS.glob(f"{code}.json"), *_WORDS.glob(f"*.{code}.json")]):
        texts |= orjson.loads(path.read_bytes())
    return Words(code, texts)
