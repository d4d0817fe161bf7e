"""Names, types and help of every metric, and the text that Prometheus reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from catalog_api.edge.tally import BOUNDS_S, Counted
from catalog_api.watch.health_families import of_health
from catalog_api.watch.watched import Stored

MEDIA_TYPE = CONTENT_TYPE_LATEST.encode()

#: Of each worker: name to help. What a worker tells and is not here is not shown.
WORKER_GAUGES = {
    "requests_in_flight": "Requests under way",
    "large_answers": "Answers of more than 1,000 items under way",
    "pool_size": "Most connections to the database",
    "pool_connections_in_use": "Connections to the database in use",
    "pool_connections_idle": "Connections to the database that are open and idle",
    "pool_requests_waiting": "Requests that wait for a connection to the database",
    "loop_lag_seconds": "How late the worker's event loop was at its last tick",
    "cached_leaves": "Leaves in the worker's memory",
    "cached_leaf_set_version": "Version of the set of leaves in the worker's memory",
    "cached_instances": "Instances in the worker's memory",
    "cached_dictionaries": "Compression dictionaries in the worker's memory",
    "tiles_held": "Finished tiles in the worker's memory",
    "tiles_held_bytes": "Bytes of finished tiles in the worker's memory",
    "tiles_made": "Tiles this worker made since it started",
    "tiles_hits": "Tiles this worker found finished since it started",
    "worker_resident_bytes": "Resident memory",
    "worker_start_time_seconds": "When the worker started, in seconds since 1970",
}
#: Of each instance: name to (column, help).
INSTANCE_GAUGES = {
    "instance_success_age_seconds": ("success_age_s", "Since the end of the last visit that went well"),
    "instance_change_age_seconds": ("change_age_s", "Since a visit last brought a change"),
    "instance_overdue_seconds": ("overdue_s", "How long its next visit is overdue"),
    "instance_failures": ("failures", "Visits in a row that failed"),
    "instance_visit_running": ("running", "Whether it is being visited"),
    "instance_resting": ("resting", "Whether it gave no answers, and is left alone for a while"),
    "instance_retries": ("retries", "Sequences that could not be merged and are tried again"),
    "instance_followups": ("followups", "Sequences looked at again because their pictures were still being processed"),
    "instance_ranges_left": ("ranges", "Parts of its first crawl that are not done"),
}
STATES = ("enabled", "disabled", "paused", "braked", "leaving", "left")
INDEX_GAUGES = {
    "index_leaves": ("leaves", "Leaves, those that are splitting included"),
    "index_leaves_splitting": ("splitting", "Leaves that are splitting"),
    "index_pictures": ("pictures", "Pictures that are served, as folded into the leaves"),
    "index_counts_unfolded": ("unfolded", "Rows of counts that wait to be folded, up to a million"),
}


class _Ready(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


def exposition(workers: Mapping[int, Counted], stored: Stored | None) -> bytes:
    """The whole page; `stored` is None while the database does not answer."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Ready([*_of_requests(workers), *_of_workers(workers), *_of_database(stored)]))
    return generate_latest(registry)


def _of_requests(workers: Mapping[int, Counted]) -> Iterator[Metric]:
    durations = HistogramMetricFamily(
        "panofed_request_duration_seconds", "Answers by route, from the request's head to the last byte handed over",
        labels=["route", "method", "status"],
    )  # fmt: skip
    for name in sorted({name for each in workers.values() for name in each.latencies}):
        route, method, kind = name.split(" ")
        known = [each.latencies[name] for each in workers.values() if name in each.latencies]
        sums = accumulate(sum(column) for column in zip(*(each.counts for each in known), strict=True))
        buckets = list(zip([*map(str, BOUNDS_S), "+Inf"], sums, strict=True))
        label = "cut" if kind == "0" else f"{kind}xx"
        durations.add_metric([route, method, label], buckets, sum_value=sum(each.sum_s for each in known))
    yield durations
    yield _summed("panofed_answers", "Answers by status", "status", [each.statuses for each in workers.values()])
    refused = [each.refused for each in workers.values()]
    yield _summed("panofed_requests_refused", "Requests turned away: rate, busy, url", "reason", refused)


def _summed(name: str, text: str, label: str, parts: Iterable[Mapping[str, int]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    totals: dict[str, int] = {}
    for part in parts:
        for key, value in part.items():
            totals[key] = totals.get(key, 0) + value
    for key in sorted(totals):
        family.add_metric([key], totals[key])
    return family


def _of_workers(workers: Mapping[int, Counted]) -> Iterator[Metric]:
    for name, text in WORKER_GAUGES.items():
        family = GaugeMetricFamily(f"panofed_{name}", text, labels=["worker"])
        for slot, each in sorted(workers.items()):
            if name in each.gauges:
                family.add_metric([str(slot)], each.gauges[name])
        yield family
    cpu = CounterMetricFamily("panofed_worker_cpu_seconds", "Processor time", labels=["worker"])
    for slot, each in sorted(workers.items()):
        cpu.add_metric([str(slot)], each.gauges.get("worker_cpu_seconds", 0))
    yield cpu


def _of_database(stored: Stored | None) -> Iterator[Metric]:
    yield GaugeMetricFamily("panofed_database_up", "Whether the database answers", value=int(stored is not None))
    if stored is None:
        return
    for name, (column, text) in INDEX_GAUGES.items():
        yield GaugeMetricFamily(f"panofed_{name}", text, value=float(stored.index[column]))
    states = GaugeMetricFamily("panofed_instance_state", "1 for the state it is in", labels=["instance", "state"])
    for row in stored.instances:
        for state in STATES:
            states.add_metric([row["id"], state], float(row["state"] == state))
    yield states
    for name, (column, text) in INSTANCE_GAUGES.items():
        family = GaugeMetricFamily(f"panofed_{name}", text, labels=["instance"])
        for row in stored.instances:
            if row[column] is not None:
                family.add_metric([row["id"]], float(row[column]))
        yield family
    yield _freshness(stored)
    yield from of_health(stored.health)


def _freshness(stored: Stored) -> Metric:
    family = GaugeMetricFamily(
        "panofed_instance_changes_within_seconds",
        "Changes of the last 7 days that were here at most so long after the instance's own date of them",
        labels=["instance", "le"],
    )
    names, passed = {row["n"]: row["id"] for row in stored.instances}, dict[int, int]()
    for row in stored.freshness:
        number = row["instance"]
        passed[number] = passed.get(number, 0) + row["changes"]
        if number in names:
            family.add_metric([names[number], str(row["le_s"])], passed[number])
    return family
