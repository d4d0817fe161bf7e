"""The page of one visit: what it read, what it changed, and how it ended."""

from __future__ import annotations

from catalog_api.edge.responses import Answer
from catalog_api.index.visits import elapsed_s, find_run, way_of
from catalog_api.web import health_words
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import live_policy


@page
async def get_run(made: Page) -> Answer:
    """GET /runs/{n}."""
    run = await find_run(made.catalog.index, made.request.path_params["n"])
    way = way_of(run) if run["outcome"] == "running" else None
    return made.answer("run.html", policy=live_policy(), text=health_words, run=run, way=way, took=elapsed_s(run))
