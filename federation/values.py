"""Single values of a record: numbers, dates and texts as the index can hold them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from federation.errors import RecordRefused

_REAL_MAX = 3.0e38

Number = int | float
Loose = Number | str | None


def parse_time(text: str, field: str) -> datetime:
    """ISO 8601 to UTC; without a zone it is UTC.

    >>> parse_time("2024-05-02T07:10:00+02:00", "datetime")
    datetime.datetime(2024, 5, 2, 5, 10, tzinfo=datetime.timezone.utc)
    """
    try:
        when = datetime.fromisoformat(text)
        return when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise RecordRefused(field, f"{text[:64]!r} is not a date and time") from error


def real_number(value: Loose) -> float | None:
    """A number that a `real` column can hold; text is read, what is no number is absent.

    >>> real_number("360"), real_number(1e300), real_number("wide")
    (360.0, None, None)
    """
    if value is None:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) < _REAL_MAX else None


def whole_azimuth(value: Loose) -> int | None:
    """Whole degrees, 0 to 359.

    >>> whole_azimuth(359.7), whole_azimuth(-90), whole_azimuth(None)
    (0, 270, None)
    """
    number = real_number(value)
    return None if number is None else round(number) % 360


def in_range(value: int | None, low: int, high: int) -> int | None:
    return value if value is not None and low <= value <= high else None


def clean_text(text: str) -> str:
    """PostgreSQL's text cannot hold NUL; the payload keeps what the origin wrote."""
    return text.replace("\x00", "\ufffd")
