"""Times, shares and states in words, and the strip that shows a day as one stroke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from catalog_api.index.health import DAYS, Health, up_share
from catalog_api.web.languages import Words
from federation.database import Row

_UNITS = (("unit_d", 86_400), ("unit_h", 3_600), ("unit_min", 60), ("unit_s", 1))
#: From this share of a day on an instance counts as there, and as there for the most part.
_FINE, _FAIR = 0.99, 0.9
#: Of one stroke: units across, the bar in it, and the height by kind of day.
_STEP, _BAR, _HEIGHT = 4, 3, 24
_HEIGHTS = {"up": 24, "some": 16, "down": 9, "none": 2}


def span(words: Words, seconds: float) -> str:
    """A time in its largest unit; in two where the first is small.

    >>> words = Words("en", {"unit_d": "{n} d", "unit_h": "{n} h", "unit_min": "{n} min", "unit_s": "{n} s"})
    >>> [span(words, seconds) for seconds in (0.4, 59, 61, 3_600, 100_000, 10_000_000)]
    ['0 s', '59 s', '1 min 1 s', '1 h', '1 d 3 h', '115 d']
    """
    left = int(seconds)
    for place, (unit, size) in enumerate(_UNITS):
        many = left // size
        if many or size == 1:
            text = words.say(unit, n=words.number(many))
            if many < 10 and size > 1 and place + 1 < len(_UNITS):
                below, smaller = _UNITS[place + 1]
                rest = left % size // smaller
                return f"{text} {words.say(below, n=rest)}" if rest else text
            return text
    return ""


def percent(words: Words, share: float | None, digits: int = 2) -> str:
    r"""A share, cut and not rounded: what was away for a minute is not 100 %.

    >>> percent(Words("en", {}), 0.99999), percent(Words("fr", {}), 0.5), percent(Words("en", {}), None)
    ('99.99\xa0%', '50\xa0%', '')
    """
    if share is None:
        return ""
    scale = 10**digits
    text = f"{int(share * 100 * scale + 1e-6) / scale:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text.replace('.', ',' if words.code == 'fr' else '.')}\N{NO-BREAK SPACE}%"


def size(words: Words, number_bytes: int) -> str:
    """Bytes in the unit that fits.

    >>> size(Words("en", {}), 1_234_567), size(Words("en", {}), 12)
    ('1.2 MB', '12 B')
    """
    value, unit = float(number_bytes), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1_000 or unit == "TB":
            break
        value /= 1_000
    text = f"{value:.0f}" if unit == "B" else f"{value:.1f}"
    return f"{text.replace('.', ',' if words.code == 'fr' else '.')} {unit}"


def moment(when: datetime | None) -> str:
    """A date and time of day in UTC.

    >>> moment(datetime(2026, 5, 1, 8, 3, 9)), moment(None)
    ('2026-05-01 08:03', '')
    """
    return "" if when is None else f"{when:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """One day of the strip: how it was, and where its bar stands."""

    day: date
    kind: str
    share: float | None
    visits: int
    failures: int
    error: str
    x: int
    y: int
    height: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """The days of an instance, one stroke each, the oldest first; `paths` draws them by kind."""

    strokes: Sequence[Stroke]
    width: int = DAYS * _STEP
    height: int = _HEIGHT
    bar: int = _BAR

    def paths(self) -> Mapping[str, str]:
        """One path for each kind of day: a list of a hundred instances stays small."""
        found: dict[str, list[str]] = {}
        for each in self.strokes:
            bar = f"M{each.x} {each.y}h{_BAR}v{each.height}h-{_BAR}z"
            found.setdefault(each.kind, []).append(bar)
        return {kind: "".join(bars) for kind, bars in found.items()}


def strip_of(health: Health) -> Strip:
    """The last 90 days."""
    known = {day["day"]: day for day in health.days}
    first = health.today - timedelta(days=DAYS - 1)
    return Strip(strokes=[_stroke(place, first + timedelta(days=place), known) for place in range(DAYS)])


def _stroke(place: int, day: date, known: Mapping[date, Row]) -> Stroke:
    row = known.get(day)
    share = up_share([row]) if row else None
    if row and share is None and row["visits"] + row["failures"]:
        # the day of its first visit: nothing lies between two
        share = row["visits"] / (row["visits"] + row["failures"])
    kind = kind_of(share)
    return Stroke(
        day=day, kind=kind, share=share, visits=row["visits"] if row else 0, failures=row["failures"] if row else 0,
        error=row["last_error"] if row else "", x=place * _STEP, y=_HEIGHT - _HEIGHTS[kind], height=_HEIGHTS[kind],
    )  # fmt: skip


def kind_of(share: float | None) -> str:
    """How a day was, by the share of its known time in which the instance answered.

    >>> [kind_of(share) for share in (1.0, 0.95, 0.2, None)]
    ['up', 'some', 'down', 'none']
    """
    if share is None:
        return "none"
    return "up" if share >= _FINE else "some" if share >= _FAIR else "down"
