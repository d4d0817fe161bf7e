"""Visits under way and past ones, with how far they are and when they may be done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from catalog_api.edge.responses import BadRequest, NotFound
from catalog_api.index.figures import Kept
from catalog_api.index.index import Index
from federation.database import Row
from federation.queries import query
from federation.settings import Settings

_FRESH_S = 1.0
#: Sooner than this, nobody can tell how long it takes.
_TELLS_FROM_S = 3.0
_TELLS_FROM_SHARE = 0.01
_NUMBER_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How far a visit is: the share of the known work that is done, and the seconds it still takes at this speed.

    `open_ended`: the instance is still being listed, so that more work will be known than is now.
    """

    share: float | None
    left_s: float | None
    open_ended: bool


def elapsed_s(run: Row) -> float:
    """What a visit took, or has taken so far."""
    seconds: float = ((run["ended_at"] or run["at"]) - run["started_at"]).total_seconds()
    return max(0.0, seconds)


def way_of(run: Row) -> Way:
    """By pictures, where the instance says how many its sequences hold; else by sequences."""
    if run["pictures_expected"]:
        done, expected = run["pictures_seen"], run["pictures_expected"]
    else:
        done, expected = run["sequences_changed"] + run["sequences_failed"], run["sequences_expected"]
    share = min(1.0, done / expected) if expected else None
    took_s = elapsed_s(run)
    known = share is not None and share >= _TELLS_FROM_SHARE and took_s >= _TELLS_FROM_S
    left_s = took_s * (1 - share) / share if known and share else None
    return Way(share=share, left_s=left_s, open_ended=run["phase"] in ("first crawl", "listing everything"))


async def find_run(index: Index, text: str) -> Row:
    """A visit by its number; NotFound when it is not kept, or there was none."""
    rows = await index.fetch(query("catalog_run"), read_number("n", text))
    if not rows:
        raise NotFound(f"there is no visit {text[:30]}, or it is not kept any more")
    return rows[0]


def read_number(name: str, text: str) -> int:
    """A number of a visit; BadRequest for any other text.

    >>> read_number("n", "12")
    12
    """
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 0 < int(text) <= _NUMBER_MAX):
        raise BadRequest(name, text, "is not the number of a visit")
    return int(text)


@dataclass(slots=True)
class Visits:
    """Visits under way and the latest event, read once a second however many look."""

    index: Index
    settings: Settings
    running: Kept[list[Row]] = field(init=False)
    #: number of the latest public event
    latest_event: Kept[int] = field(init=False)

    def __post_init__(self) -> None:
        self.running = Kept(_FRESH_S, self._read)
        self.latest_event = Kept(_FRESH_S, self._read_latest)

    async def _read_latest(self) -> int:
        number: int = (await self.index.fetch(query("latest_public_event")))[0]["n"]
        return number

    async def _read(self) -> list[Row]:
        return await self.index.fetch(query("catalog_running"), timedelta(seconds=self.settings.run_lease_s))
