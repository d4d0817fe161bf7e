"""Hours of the day in which an instance is not visited: "22:00-06:00", in UTC, over midnight too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

_FORM = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True)
class QuietHours:
    """From `start` on and before `end`; when `end` is earlier, it is that of the next day."""

    start: time
    end: time

    @staticmethod
    def parse(text: str) -> QuietHours:
        """ValueError says what is wrong with a text.

        >>> QuietHours.parse("22:00-06:30")
        QuietHours(start=datetime.time(22, 0), end=datetime.time(6, 30))
        >>> QuietHours.parse("22-6")
        Traceback (most recent call last):
        ...
        ValueError: must be two times of day in UTC, as "22:00-06:00"
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise ValueError('must be two times of day in UTC, as "22:00-06:00"')
        hours = QuietHours(time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4])))
        if hours.start == hours.end:
            raise ValueError("must not begin and end at the same time: to visit it never, disable it")
        return hours

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours that `now` is in will end; None outside of them.

        >>> night, at = QuietHours.parse("22:00-06:00"), datetime(2026, 3, 1, 23, 30, tzinfo=UTC)
        >>> night.until(at).isoformat(), night.until(at + timedelta(hours=6, minutes=30))
        ('2026-03-02T06:00:00+00:00', None)
        """
        now = now.astimezone(UTC)
        moment = now.time()
        if self.start < self.end:
            inside = self.start <= moment < self.end
        else:
            inside = moment >= self.start or moment < self.end
        if not inside:
            return None
        end = datetime.combine(now.date(), self.end, UTC)
        return end if end > now else end + timedelta(days=1)
