"""Judges how every instance is, and notes an event when that changed: once, whoever looks and however often."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from federation.database import Connection, Pool, Row, explained
from federation.events import HARVESTER, Kind, note
from federation.queries import query
from federation.settings import Settings

#: It is not visited in these, and nobody waits for it.
STOPPED = frozenset({"disabled", "paused", "braked", "leaving", "left"})
#: Stopped by somebody who is told of its end, too.
_HELD = frozenset({"paused", "braked"})
#: Its last visit went well.
_UP = frozenset({"fresh", "late"})
_NEWS = {"paused": Kind.PAUSED, "braked": Kind.BRAKED, "failing": Kind.DOWN, "late": Kind.LATE}


async def watch_health(pool: Pool, settings: Settings, since: datetime) -> int:
    """Compare each instance's state with what was last told, and note what is new; returns how many changed.

    `since`: when visits began, after nobody had worked for a while: no instance is late for that.
    """
    changed = 0
    async with explained("watching over the instances"), pool.acquire() as connection, connection.transaction():
        await connection.execute(query("lock_health"))
        for row in await _states(connection, settings, since):
            state = _settled(row)
            if state != row["told"]:
                await _tell(connection, row, state)
                changed += 1
    return changed


async def _states(connection: Connection, settings: Settings, since: datetime) -> list[Row]:
    late = timedelta(seconds=settings.health_late_s)
    lease = timedelta(seconds=settings.run_lease_s)
    rows: list[Row] = await connection.fetch(query("instance_states"), late, settings.health_failures, lease, since)
    return rows


def _settled(row: Row) -> str:
    """Whoever is visited again after a stop has had no time for it yet."""
    judged: str = row["judged"]
    return "fresh" if judged == "late" and row["told"] in STOPPED else judged


async def _tell(connection: Connection, row: Row, state: str) -> None:
    resumed = datetime.now(UTC) if row["told"] in STOPPED and state not in STOPPED else None
    for kind in news(row["told"], state):
        # whoever paused it may have noted that already; an instance joins once, whoever approved it
        since = None if kind is Kind.JOINED else row["since"]
        if not await connection.fetchval(query("has_event"), row["n"], kind.value, since):
            await note(connection, kind, actor=HARVESTER, instance=row["n"], details=_details(row, kind))
    await connection.execute(query("tell_state"), row["n"], state, resumed)


def news(before: str, now: str) -> Iterator[Kind]:
    """What the change of an instance's state is to those who are told; `before` is "" for one never judged.

    >>> [[each.value for each in news(*states)] for states in (("fresh", "late"), ("late", "failing"))]
    [['late'], ['down']]
    >>> [[each.value for each in news(*states)] for states in (("failing", "fresh"), ("paused", "fresh"))]
    [['back'], ['resumed']]
    >>> [[each.value for each in news(*states)] for states in (("", "new"), ("new", "fresh"), ("failing", "late"))]
    [[], ['joined'], ['back', 'late']]
    """
    if before in _HELD and now not in STOPPED:
        yield Kind.RESUMED
    if (before == "failing" and now in _UP) or (before == "late" and now == "fresh"):
        yield Kind.BACK
    if before in ("", "new") and now == "fresh":
        yield Kind.JOINED
    if now in _NEWS and now != before:
        yield _NEWS[now]


def _details(row: Row, kind: Kind) -> dict[str, object]:
    """What is told with it. The name stays readable when the instance has another one, or has left."""
    details: dict[str, object] = {"id": row["id"], "name": row["name"]}
    if kind in (Kind.PAUSED, Kind.BRAKED):
        details["reason"] = row["state_reason"]
    if kind is Kind.DOWN:
        details |= {"reason": row["last_error"], "failures": row["failures"]}
    if kind in (Kind.DOWN, Kind.LATE) and row["last_success_at"] is not None:
        details["last_success"] = row["last_success_at"].isoformat()
    if kind is Kind.BACK and row["since"] is not None:
        details |= {"was": row["told"], "seconds": int((datetime.now(UTC) - row["since"]).total_seconds())}
    return details
