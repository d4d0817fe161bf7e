"""What the database says of the index and of each instance, for metrics: asked for every 15 seconds at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog_api.index.figures import FRESHNESS_DAYS, Kept
from catalog_api.index.health import HealthFigures
from catalog_api.index.index import Index
from catalog_api.index.visits import Visits
from catalog_api.watch.health_families import StoredHealth
from federation.database import Row
from federation.queries import query

_FRESH_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row of the index, one of each instance, the histogram of how fresh its changes came, and its health."""

    index: Row
    instances: Sequence[Row]
    freshness: Sequence[Row]
    health: StoredHealth


def watch(index: Index, health: HealthFigures, visits: Visits) -> Kept[Stored]:
    """The figures, kept for a moment."""

    async def read() -> Stored:
        return Stored(
            index=(await index.fetch(query("metrics_index")))[0],
            instances=await index.fetch(query("metrics_instances")),
            freshness=await index.fetch(query("catalog_freshness"), FRESHNESS_DAYS),
            health=StoredHealth(
                states=list((await health.states.get()).values()),
                health=await index.fetch(query("metrics_health")),
                running=len(await visits.running.get()),
                notices=await index.fetch(query("waiting_notices")),
                events=await index.fetch(query("metrics_events")),
            ),
        )

    return Kept(_FRESH_S, read)
