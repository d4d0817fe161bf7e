"""What the database says of the index and of each instance, for metrics: asked for every 15 seconds at most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog_api.index.figures import FRESHNESS_DAYS, Kept
from catalog_api.index.index import Index
from federation.database import Row
from federation.queries import query

_FRESH_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One row of the index, one of each instance, and the histogram of how fresh its changes came."""

    index: Row
    instances: Sequence[Row]
    freshness: Sequence[Row]


def watch(index: Index) -> Kept[Stored]:
    """The figures, kept for a moment."""

    async def read() -> Stored:
        return Stored(
            index=(await index.fetch(query("metrics_index")))[0],
            instances=await index.fetch(query("metrics_instances")),
            freshness=await index.fetch(query("catalog_freshness"), FRESHNESS_DAYS),
        )

    return Kept(_FRESH_S, read)
