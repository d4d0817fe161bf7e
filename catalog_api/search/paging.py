"""Pages of a search: what they hold, and the tokens of what follows."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from catalog_api.query.search_params import SearchParams
from catalog_api.query.sorting import DISTANCE, Order, make_key
from catalog_api.query.tokens import write_token
from catalog_api.search.asked import request_of
from catalog_api.search.nearness import Around, Position
from catalog_api.search.walking import (
    Found,
)
from federation.database import Row
from federation.settings import Settings

NEAREST = Order(keys=(make_key(DISTANCE), make_key("id")))


@dataclass(frozen=True, slots=True)
class Page:
    """Pictures with their sequence's id, and the token of what follows.

    `matched` is how many match in all, where this page shows it; `at_least` is how many are known to.
    """

    pictures: list[tuple[Row, str]]
    token: str | None
    matched: int | None = None
    at_least: int = 0


def page_of(rows: list[Row], params: SearchParams, token_after: Callable[[Row], str]) -> Page:
    kept = rows[: params.limit]
    token = token_after(kept[-1]) if len(rows) > params.limit else None
    return Page([(row, str(row["sequence"])) for row in kept], token)


def sorted_page(found: Found, params: SearchParams, order: Order) -> Page:
    page = page_of(found.rows, params, lambda row: sorted_token(request_of(params), order, row))
    if page.token is None and found.goes_on_at is not None:
        return replace(page, token=write_token("from_", request_of(params), found.goes_on_at.isoformat()))
    return page


def sorted_token(request: str, order: Order, row: Row) -> str:
    values = (each.isoformat() if isinstance(each, datetime) else each for each in order.position(row))
    return write_token("sorted", request, *values)


#: Types of what tokens of a place hold.
POSITIONS = {
    "near": (int, float, uuid.UUID),
    "rest": (int, float, uuid.UUID, int, int, uuid.UUID),
    "sorted": NEAREST.kinds(),
}


def position_of(kind: str, values: Sequence[object]) -> Position:
    served, distance_m, identifier = values[:3]
    assert isinstance(served, int) and isinstance(distance_m, float) and isinstance(identifier, str)
    near = Position(served=served, distance_m=distance_m, id=identifier)
    if kind == "near":
        return near
    sequence, rank, last_id = values[3:]
    assert isinstance(sequence, int) and isinstance(rank, int) and isinstance(last_id, str)
    return replace(near, sequence=sequence, rank=rank, last_id=last_id)


def place_token(at: Position, request: str, settings: Settings) -> str:
    near = (at.served, at.distance_m, at.id)
    if at.served < settings.nearness_results:
        return write_token("near", request, *near)
    return write_token("rest", request, *near, at.sequence, at.rank, at.last_id)


def place_page(found: Around, params: SearchParams, settings: Settings, asked: int) -> Page:
    """The page of what was found when `asked` pictures were wanted: one more than it has, or the last by nearness."""
    kept, start = found.rows[: params.limit], found.start
    more = len(found.rows) == asked
    token = place_token(found.after(len(kept) - 1), request_of(params), settings) if more else None
    before = start.served if start.served < settings.nearness_results else 0
    return Page([(row, str(row["sequence"])) for row in kept], token, at_least=before)
