"""The page that says what this catalog is and holds, who is in the federation, and what programs can ask."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_api.edge.responses import Answer
from catalog_api.index.figures import NOTHING
from catalog_api.index.registry import web_root
from catalog_api.query.params import ALWAYS
from catalog_api.search.walking import newest
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import confirmed_sources, page_policy
from federation.queries import query

_LATEST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """An instance as the page shows it; an address that is none of the web's is left out."""

    name: str
    web: str
    pictures: int


@page
async def get_about(made: Page) -> Answer:
    """GET /about."""
    return await make_about(made)


async def make_about(made: Page, *, missing: bool = False) -> Answer:
    """The page; `missing` when it stands in for the map. Thumbnails come from their instances."""
    catalog = made.catalog
    totals = await catalog.totals()
    held = await catalog.figures.held.get()
    latest = await newest(catalog.index, ALWAYS, None, _LATEST)
    await catalog.registry.prepare(latest)
    members = [
        Member(name=row["name"], web=_address(row["url"]), pictures=held.get(row["n"], NOTHING).pictures)
        for row in await catalog.index.fetch(query("catalog_instances"), None)
    ]
    policy = page_policy(confirmed_sources(catalog.registry))
    return made.answer(
        "about.html", policy=policy, missing=missing, totals=totals, members=members,
        latest=[(str(row["id"]), f"{row['datetime']:%Y-%m-%d}") for row in latest],
    )  # fmt: skip


def _address(url: str) -> str:
    web = web_root(url)
    return web if web.startswith(("https://", "http://")) else ""
