"""How every instance is and was: its state as visits left it, and its days; kept for a moment, like other figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from catalog_api.edge.responses import NotFound
from catalog_api.index.figures import NOTHING, Figures, Freshness, Held, Kept
from catalog_api.index.index import Index
from federation.database import Row
from federation.queries import query
from federation.settings import Settings

#: Days of the uptime strip and of the daily figures.
DAYS = 90
_RECENT_DAYS = 7
_STATES_FRESH_S = 1.0
_DAYS_FRESH_S = 15.0
_MONTHS_FRESH_S = 60.0
#: Nobody is late for what the harvester itself did not do: that is told by its own sign of life.
_ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)

#: From what needs a person most to what needs none: the order of lists.
STATES = ("failing", "braked", "late", "leaving", "new", "fresh", "paused", "disabled", "left")


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One instance. `row` as `catalog_instances` gives it; `days` of the last 90, oldest first, some may be missing."""

    row: Row
    state: str
    since: datetime | None
    looked_at: datetime | None
    certificate_until: datetime | None
    days: Sequence[Row]
    held: Held
    freshness: Freshness | None
    today: date

    @property
    def lag_s(self) -> int | None:
        """Since the end of the last visit that went well."""
        if self.row["last_success_at"] is None:
            return None
        lag: timedelta = self.row["at"] - self.row["last_success_at"]
        return max(0, int(lag.total_seconds()))

    @property
    def counted(self) -> Row | None:
        """The last day on which what is held was counted."""
        return next((day for day in reversed(self.days) if day["pictures"] is not None), None)

    def recent(self, days: int = _RECENT_DAYS) -> list[Row]:
        """The last days, today included."""
        first = self.today - timedelta(days=days - 1)
        return [day for day in self.days if day["day"] >= first]

    def uptime(self, days: int) -> float | None:
        """The share of the known time of the last days in which it answered; None when nothing is known."""
        return up_share(self.recent(days))

    def latency_s(self) -> float | None:
        """Seconds for one answer, over the last 7 days."""
        recent = self.recent()
        requests = sum(day["requests"] for day in recent)
        return sum(day["answering_s"] for day in recent) / requests if requests else None

    def error_rate(self) -> float | None:
        """The share of the visits of the last 7 days that failed."""
        recent = self.recent()
        visits, failures = sum(day["visits"] for day in recent), sum(day["failures"] for day in recent)
        return failures / (visits + failures) if visits + failures else None

    def reasons(self) -> list[tuple[date, str]]:
        """The last error of each of the last 7 days that had one, the latest first, each error once."""
        found: dict[str, date] = {}
        for day in reversed(self.recent()):
            if day["last_error"]:
                found.setdefault(day["last_error"], day["day"])
        return [(day, error) for error, day in found.items()]


def up_share(days: Sequence[Row]) -> float | None:
    """Of the known seconds of these days."""
    up_s, down_s = sum(day["up_s"] for day in days), sum(day["down_s"] for day in days)
    return up_s / (up_s + down_s) if up_s + down_s else None


@dataclass(slots=True)
class HealthFigures:
    """What one worker keeps of it."""

    index: Index
    settings: Settings
    figures: Figures
    states: Kept[dict[int, Row]] = field(init=False)
    left_behind: Kept[dict[int, Row]] = field(init=False)
    days: Kept[dict[int, list[Row]]] = field(init=False)
    months: Kept[list[Row]] = field(init=False)

    def __post_init__(self) -> None:
        self.states = Kept(_STATES_FRESH_S, self._read_states)
        self.left_behind = Kept(_STATES_FRESH_S, self._read_left_behind)
        self.months = Kept(_MONTHS_FRESH_S, self._read_months)
        self.days = Kept(min(_DAYS_FRESH_S, self.settings.figures_age_s), self._read_days)

    async def read(self, name: str | None = None) -> list[Health]:
        """Every instance by name, or the one of that name or id."""
        rows = await self.index.fetch(query("catalog_instances"), name)
        states, left_behind, days = await self.states.get(), await self.left_behind.get(), await self.days.get()
        held, freshness = await self.figures.held.get(), await self.figures.freshness.get()
        return [_health(row, states, left_behind, days, held, freshness) for row in rows]

    async def one(self, name: str) -> Health:
        """The instance of that name or id, the name before the id; NotFound when there is none."""
        found = [] if "\x00" in name else await self.read(name)
        if not found:
            raise NotFound(f"there is no instance {name[:60]!r}")
        return next((each for each in found if each.row["name"] == name), found[0])

    async def _read_states(self) -> dict[int, Row]:
        settings = self.settings
        late, lease = timedelta(seconds=settings.health_late_s), timedelta(seconds=settings.run_lease_s)
        rows = await self.index.fetch(query("instance_states"), late, settings.health_failures, lease, _ALWAYS)
        return {row["n"]: row for row in rows}

    async def _read_months(self) -> list[Row]:
        return await self.index.fetch(query("catalog_months"))

    async def _read_left_behind(self) -> dict[int, Row]:
        return {row["instance"]: row for row in await self.index.fetch(query("catalog_health"))}

    async def _read_days(self) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = {}
        for row in await self.index.fetch(query("catalog_days"), DAYS, None):
            found.setdefault(row["instance"], []).append(row)
        return found


def _health(
    row: Row, states: Mapping[int, Row], left_behind: Mapping[int, Row], days: Mapping[int, list[Row]],
    held: Mapping[int, Held], freshness: Mapping[int, Freshness],
) -> Health:  # fmt: skip
    number, judged = row["n"], states.get(row["n"])
    kept = left_behind.get(number)
    return Health(
        row=row,
        # one that came a moment ago
        state=row["state"] if judged is None and row["state"] != "enabled" else judged["judged"] if judged else "new",
        since=kept["since"] if kept and judged and judged["told"] == judged["judged"] else None,
        looked_at=kept["looked_at"] if kept else None,
        certificate_until=kept["certificate_until"] if kept else None,
        days=days.get(number, []),
        held=held.get(number, NOTHING),
        freshness=freshness.get(number),
        today=row["at"].date(),
    )


def worst_first(found: Sequence[Health]) -> list[Health]:
    """Those that need somebody first; within a state the largest first."""
    order = {state: place for place, state in enumerate(STATES)}
    return sorted(found, key=lambda each: (order.get(each.state, len(order)), -each.held.pictures, each.row["name"]))
