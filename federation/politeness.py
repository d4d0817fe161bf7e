"""What an instance's operator may choose: how often, how fast and when it is visited, and whom to write to."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from federation.database import Row
from federation.errors import PanofedError
from federation.instances_fields import CADENCE_MOST_S
from federation.quiet_hours import QuietHours
from federation.settings import Settings

_CONTACT_MAX = 200
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
#: An e-mail address or an address of the web.
_CONTACT = re.compile(r"[^@\s<>\"']+@[^@\s<>\"']+\.[^@\s<>\"']+|https?://[^\s<>\"']+")


class WrongChoice(PanofedError):
    """A value that cannot be chosen; `field` names it."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        super().__init__(f"{field}: {str(value)[:60]!r} {problem}")
        self.field, self.value, self.problem = field, value, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Politeness:
    """The choices; None and "" leave it to the catalog's settings. Seconds between visits, requests a second and at one
    time, hours without visits in UTC.
    """

    cadence_s: float | None = None
    requests_per_s: float | None = None
    concurrency: int | None = None
    quiet_hours: str = ""
    contact: str = ""

    @classmethod
    def of_row(cls, row: Row) -> Politeness:
        """What an instance has now."""
        return cls(
            cadence_s=_as_written(row["cadence_s"]), requests_per_s=_as_written(row["requests_per_s"]),
            concurrency=row["concurrency"], quiet_hours=row["quiet_hours"], contact=row["contact"],
        )  # fmt: skip

    def changed(self, asked: Mapping[str, object], settings: Settings) -> Politeness:
        """With some choices replaced; WrongChoice names the one that cannot be.

        >>> Politeness().changed({"cadence_s": "60", "contact": ""}, Settings())
        Politeness(cadence_s=60.0, requests_per_s=None, concurrency=None, quiet_hours='', contact='')
        >>> Politeness().changed({"concurrency": 99}, Settings())
        Traceback (most recent call last):
        ...
        federation.politeness.WrongChoice: concurrency: '99' is not within 1 and 8
        """
        readers = {
            "cadence_s": lambda value: _number("cadence_s", value, settings.operator_cadence_min_s, CADENCE_MOST_S),
            "requests_per_s": lambda value: _number(
                "requests_per_s", value, 0.01, settings.operator_requests_per_s_max
            ),
            "concurrency": lambda value: _whole("concurrency", value, settings.operator_concurrency_max),
            "quiet_hours": _quiet_hours,
            "contact": _contact,
        }
        unknown = next((name for name in asked if name not in readers), None)
        if unknown is not None:
            raise WrongChoice(unknown, asked[unknown], f"is for none of {', '.join(readers)}")
        chosen: dict[str, Any] = {name: readers[name](value) for name, value in asked.items()}
        return replace(self, **chosen)

    def differences(self, other: Politeness) -> dict[str, list[object]]:
        """What is another in the other: by name, before and after."""
        before, after = asdict(self), asdict(other)
        return {name: [before[name], after[name]] for name in before if before[name] != after[name]}


def _as_written(value: float | None) -> float | None:
    # `real` keeps 24 bits: 0.1 comes back as 0.10000000149
    return None if value is None else float(f"{value:.6g}")


def _number(field: str, value: object, least: float, most: float) -> float | None:
    if value is None or value == "":
        return None
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, str):
        if not _NUMBER.fullmatch(text):
            raise WrongChoice(field, value, "is not a number")
        text = float(text)
    if isinstance(text, bool) or not isinstance(text, int | float) or not math.isfinite(text):
        raise WrongChoice(field, value, "is not a number")
    if not least <= text <= most:
        raise WrongChoice(field, value, f"is not within {least:g} and {most:,g}")
    return float(text)


def _whole(field: str, value: object, most: int) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, str) and _WHOLE.fullmatch(value.strip()) else value
    if isinstance(number, bool) or not isinstance(number, int):
        raise WrongChoice(field, value, "is not a whole number")
    if not 1 <= number <= most:
        raise WrongChoice(field, value, f"is not within 1 and {most}")
    return number


def _quiet_hours(value: object) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise WrongChoice("quiet_hours", value, "is not text")
    try:
        QuietHours.parse(value.strip())
    except ValueError as error:
        raise WrongChoice("quiet_hours", value, str(error)) from error
    return value.strip()


def _contact(value: object) -> str:
    if value is None or value == "":
        return ""
    if not isinstance(value, str) or len(value) > _CONTACT_MAX:
        raise WrongChoice("contact", value, f"is not text of {_CONTACT_MAX} characters at most")
    text = value.strip()
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text) or not _CONTACT.fullmatch(text):
        raise WrongChoice("contact", value, "is neither an e-mail address nor an https address")
    return text
