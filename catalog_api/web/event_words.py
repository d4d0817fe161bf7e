"""Events in words: what a person reads on a page and in a feed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import orjson

from catalog_api.index.index import Index
from catalog_api.web.health_words import span
from catalog_api.web.languages import Words
from federation.database import Row
from federation.queries import query

#: Members of an event's details that everybody may read.
TOLD = ("reason", "failures", "last_success", "was", "seconds", "changes")
_REASON_MAX = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event as people see it: a sentence, and what else is known. `id` of the instance is "" once it has left."""

    n: int
    at: datetime
    kind: str
    id: str
    name: str
    title: str
    text: str
    details: dict[str, object]


async def read_events(
    index: Index, words: Words, most: int, *, instance: int | None = None, before: int | None = None
) -> list[Event]:
    """The latest public events."""
    return [describe(row, words) for row in await index.fetch(query("public_events"), instance, before, most)]


def describe(row: Row, words: Words) -> Event:
    """One of them."""
    details = orjson.loads(row["details"])
    name = row["name"] or str(details.get("name") or row["subject"] or "?")
    key = f"event_{row['kind']}"
    title = words.say(key if key in words.texts else "event_other", name=name, kind=row["kind"])
    reason = str(details.get("reason") or "")[:_REASON_MAX]
    seconds = details.get("seconds")
    took = words.say("event_after", span=span(words, seconds)) if isinstance(seconds, int | float) else ""
    return Event(
        n=row["n"], at=row["at"], kind=row["kind"], id=row["id"] or "", name=name, title=title,
        text=" ".join(filter(None, (took, reason))), details={name: details[name] for name in TOLD if name in details},
    )  # fmt: skip
