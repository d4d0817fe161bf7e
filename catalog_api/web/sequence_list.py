"""The page that lists sequences: searched by words, dates and a part of the map, sorted, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from catalog_api.edge.responses import Answer, BadRequest
from catalog_api.search.listing import ListParams, count_sequences, list_params, list_sequences
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import confirmed_sources, page_policy
from federation.database import Row
from federation.queries import query

#: Orders that can be chosen, as /api/collections names them; the first is the one without a choice.
ORDERS = ("-datetime", "-panofed:indexed", "-stats:items", "-geovisio:length_km", "title")
#: What a search consists of.
_ASKED = ("q", "from", "to", "bbox", "sortby")
_TURNS = ("first", "prev", "next", "last")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A sequence as the page shows it; lengths in metres, dates of its first and last picture."""

    id: str
    title: str
    pictures: int
    days: str
    length_m: float
    instance: str
    licence: str
    author: str


@page
async def get_sequences(made: Page) -> Answer:
    """GET /sequences."""
    catalog, asked = made.catalog, dict(made.request.query_params)
    params = _params(asked, catalog.settings.list_sequences)
    found = await list_sequences(catalog.index, params)
    await catalog.registry.know(row["instance"] for row in found.rows)
    authors = await _authors(made, found.rows)
    most = catalog.settings.list_count_max
    matched = await count_sequences(catalog.index, params, most + 1) if found.matched is None else found.matched
    kept = {name: asked.get(name, "") for name in _ASKED}
    return made.answer(
        "sequences.html",
        policy=page_policy(confirmed_sources(catalog.registry)),
        rows=[_shown(made, row, authors) for row in found.rows],
        matched=matched, most=most, asked=kept, orders=ORDERS,
        turns=[(turn, made.link("/sequences", **kept, token=token)) for turn, token in _in_order(found.turns)],
        centre=_centre(params),
    )  # fmt: skip


def _params(asked: dict[str, str], limit: int) -> ListParams:
    """The same parameters as the API's, with two fields for the dates.

    >>> _params({"from": "2024-05-01"}, 10).interval.start
    datetime.datetime(2024, 5, 1, 0, 0, tzinfo=datetime.timezone.utc)
    """
    first, last = asked.get("from", ""), asked.get("to", "")
    for name, value in (("from", first), ("to", last)):
        if "/" in value:
            raise BadRequest(name, value, "is not a date such as 2024-05-31")
    told = {name: asked[name] for name in ("q", "bbox", "sortby", "token") if asked.get(name)}
    if first or last:
        told["datetime"] = f"{first or '..'}/{last or '..'}"
    return list_params(told | {"limit": str(limit)}, limit, order=ORDERS[0])


def _in_order(turns: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(turn, turns[turn]) for turn in _TURNS if turn in turns]


def _centre(params: ListParams) -> str:
    """Where the map is to open for the box that was searched, as the viewer writes places; "" without one."""
    if params.box is None:
        return ""
    box = params.box
    east = box.east if box.west <= box.east else box.east + 360
    longitude = (box.west + east) / 2
    return f"{(box.south + box.north) / 2:.4f}/{(longitude + 180) % 360 - 180:.4f}"


async def _authors(made: Page, rows: Iterable[Row]) -> dict[int, str]:
    numbers = sorted({row["account"] for row in rows if row["account"] is not None})
    found = await made.catalog.index.fetch(query("catalog_account_names"), numbers) if numbers else []
    return {row["n"]: row["name"] for row in found}


def _shown(made: Page, row: Row, authors: dict[int, str]) -> Shown:
    return Shown(
        id=str(row["id"]), title=row["title"] or made.words.say("untitled"), pictures=row["pictures"],
        days=days(row["datetime_min"], row["datetime_max"], "\N{EN DASH}"), length_m=row["length_m"],
        instance=made.catalog.registry.instances[row["instance"]].name, licence=row["license"],
        author=authors.get(row["account"], ""),
    )  # fmt: skip


def days(first: datetime | None, last: datetime | None, to: str = "to") -> str:
    """From the first day to the last.

    >>> days(datetime(2024, 5, 1, 8), datetime(2024, 5, 1, 9)), days(datetime(2024, 5, 1), datetime(2024, 6, 2))
    ('2024-05-01', '2024-05-01 to 2024-06-02')
    >>> days(None, None)
    ''
    """
    if first is None or last is None:
        return ""
    start, end = f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"
    return start if start == end else f"{start} {to} {end}"
