"""The metrics of the health of instances: their state, days, what is held of them, and what waits to be told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

from federation.database import Row

#: As people are told it, see docs/health.md.
STATES = ("new", "fresh", "late", "failing", "paused", "braked", "disabled", "leaving", "left")
#: Of each instance: name to (column, help).
GAUGES = {
    "instance_pictures": ("pictures", "Pictures held, as last counted"),
    "instance_pictures_360": ("pictures_360", "Pictures of 360 degrees held, as last counted"),
    "instance_sequences": ("sequences", "Sequences held, as last counted"),
    "instance_length_meters": ("length_m", "Length of its sequences, as last counted"),
    "instance_contributors": ("contributors", "Contributors, as last counted"),
    "instance_quarantined": ("quarantined", "Records that cannot be accepted, as last counted"),
    "instance_latency_seconds": ("latency_s", "Mean time of its answers, yesterday and today"),
    "instance_slowest_answer_seconds": ("slowest_s", "Its slowest answer, yesterday and today"),
    "instance_error_ratio": ("error_rate", "Share of visits that failed, yesterday and today"),
    "instance_certificate_expiry_timestamp_seconds": (
        "certificate_until",
        "When the certificate ends that it showed last, in seconds since 1970",
    ),
}
_UPTIMES = {"1": "up_1", "7": "up_7", "90": "up_90"}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredHealth:
    """Rows of the queries of the same names."""

    states: Sequence[Row]
    health: Sequence[Row]
    running: int
    notices: Sequence[Row]
    events: Sequence[Row]


def of_health(stored: StoredHealth) -> Iterator[Metric]:
    """All families."""
    states = GaugeMetricFamily("panofed_instance_health", "1 for how it is", labels=["instance", "health"])
    for row in stored.states:
        for state in STATES:
            states.add_metric([row["id"], state], float(row["judged"] == state))
    yield states
    for name, (column, text) in GAUGES.items():
        family = GaugeMetricFamily(f"panofed_{name}", text, labels=["instance"])
        for row in stored.health:
            _add(family, [row["id"]], row[column])
        yield family
    uptime = GaugeMetricFamily(
        "panofed_instance_uptime_ratio", "Share of the known time it answered, over so many days, today included",
        labels=["instance", "days"],
    )  # fmt: skip
    for row in stored.health:
        for days, column in _UPTIMES.items():
            _add(uptime, [row["id"], days], row[column])
    yield uptime
    yield GaugeMetricFamily("panofed_visits_running", "Visits under way", value=stored.running)
    yield from _told(stored)


def _add(family: GaugeMetricFamily, labels: list[str], value: float | None) -> None:
    """What is not known is left out."""
    if value is not None:
        family.add_metric(labels, float(value))


def _told(stored: StoredHealth) -> Iterator[Metric]:
    notices = GaugeMetricFamily("panofed_notices_waiting", "Events that wait to be told", labels=["channel"])
    known = {row["channel"]: row["notices"] for row in stored.notices}
    for channel in ("webhook", "mail"):
        notices.add_metric([channel], known.get(channel, 0))
    yield notices
    events = GaugeMetricFamily("panofed_events", "Public events that are kept, by kind", labels=["kind"])
    for row in stored.events:
        events.add_metric([row["kind"]], row["events"])
    yield events
