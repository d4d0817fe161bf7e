"""Drops what is only kept for a while: every table that grows with time has its term in the settings."""

from __future__ import annotations

from datetime import timedelta

from federation.database import Pool, explained
from federation.queries import query
from federation.settings import Settings

#: The brake judges a day; a little more than that is enough.
_ABSENCES_KEPT = timedelta(days=2)


def terms(settings: Settings) -> dict[str, timedelta]:
    """How long each kind of row is kept, by the name of the statement that drops it."""
    return {
        "purge_changes": timedelta(days=settings.changes_kept_days),
        "purge_quarantine": timedelta(days=settings.quarantine_kept_days),
        "purge_runs": timedelta(days=settings.runs_kept_days),
        "purge_idle_runs": timedelta(days=settings.idle_runs_kept_days),
        "purge_events": timedelta(days=settings.events_kept_days),
        "purge_days": timedelta(days=settings.days_kept_days),
        "purge_checks": timedelta(days=settings.checks_kept_days),
        "purge_registrations": timedelta(days=settings.registration_days),
        "purge_sessions": timedelta(days=settings.sessions_kept_days),
        "purge_links": timedelta(days=settings.sessions_kept_days),
        "purge_notices": timedelta(days=settings.notify_kept_days),
        "purge_freshness": timedelta(days=settings.freshness_kept_days),
        "purge_absences": _ABSENCES_KEPT,
        "purge_tombstones": timedelta(days=settings.tombstones_kept_days),
    }


async def purge(pool: Pool, settings: Settings) -> int:
    """Drop rows whose term is over, each kind by a statement of its own; returns how many went."""
    purged = 0
    for name, kept in terms(settings).items():
        async with explained("purging"):
            purged += await pool.fetchval(query(name), kept)
    return purged
