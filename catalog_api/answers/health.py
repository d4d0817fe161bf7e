"""The health of instances, and visits, as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from catalog_api.index.health import DAYS, Health
from catalog_api.index.visits import elapsed_s, way_of
from federation.database import Row

Json = dict[str, object]
#: Spans of days that uptime is told for.
SPANS = (1, 7, 30, DAYS)


def health_of(health: Health) -> Json:
    """How one instance is. Shares are from 0 to 1; what is not known is null."""
    counted = health.counted
    return {
        "state": health.state,
        "since": text(health.since),
        "reason": reason_of(health),
        "last_success": text(health.row["last_success_at"]),
        "lag_s": health.lag_s,
        "last_visit": text(health.looked_at),
        "uptime": {f"days_{days}": _rounded(health.uptime(days), 5) for days in SPANS},
        "latency_s": _rounded(health.latency_s(), 3),
        "error_rate": _rounded(health.error_rate(), 4),
        "errors": [{"day": day, "error": error} for day, error in health.reasons()],
        "certificate_until": text(health.certificate_until),
        "length_km": None if counted is None else round((counted["length_m"] or 0.0) / 1_000, 1),
        "nb_contributors": counted and counted["contributors"],
        "nb_pictures_360": counted and counted["pictures_360"],
        "nb_quarantined": counted and counted["quarantined"],
    }


def reason_of(health: Health) -> str | None:
    """Why it is not well, in the words of who stopped it or of its last failed visit."""
    if health.state in ("fresh", "new"):
        return health.row["last_error"] or None if health.row["failures"] else None
    return (health.row["state_reason"] if health.row["state"] != "enabled" else health.row["last_error"]) or None


def federation_of(found: Sequence[Health], running: Sequence[Row]) -> Json:
    """All instances together."""
    counted = [each.counted for each in found]
    states = Counter(each.state for each in found)
    seen = [each.looked_at for each in found if each.looked_at] + [run["alive_at"] for run in running]
    return {
        "instances": len(found),
        "states": dict(sorted(states.items())),
        "nb_pictures": sum(each.held.pictures for each in found),
        "nb_sequences": sum(each.held.sequences for each in found),
        "nb_pictures_360": sum(day["pictures_360"] for day in counted if day),
        "length_km": round(sum(day["length_m"] for day in counted if day) / 1_000, 1),
        "visits_running": len(running),
        # whether the harvester works at all
        "last_sign_of_harvester": text(max(seen, default=None)),
    }


def run_of(run: Row) -> Json:
    """A visit: what it did, and how far it is while it is under way."""
    way = way_of(run) if run["outcome"] == "running" else None
    counts = (
        "sequences_seen", "sequences_changed", "sequences_removed", "sequences_failed", "sequences_expected",
        "sequences_reconciled", "pictures_seen", "pictures_changed", "pictures_removed", "pictures_quarantined",
        "pictures_expected", "requests", "received_bytes",
    )  # fmt: skip
    return {
        "n": run["n"],
        "instance": {"id": run["id"], "name": run["name"]},
        "started_at": text(run["started_at"]),
        "ended_at": text(run["ended_at"]),
        "seconds": round(elapsed_s(run), 1),
        "phase": run["phase"],
        "outcome": run["outcome"],
        **{name: run[name] for name in counts},
        "error": run["last_error"] or None,
        "progress": way
        and {"share": _rounded(way.share, 4), "left_s": _rounded(way.left_s, 0), "open_ended": way.open_ended},
    }


def text(when: datetime | None) -> str | None:
    """A moment as JSON has it."""
    return None if when is None else when.isoformat()


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
