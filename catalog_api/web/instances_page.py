"""The page of the federation's health: every instance with its last 90 days, what is read now, and what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from catalog_api.answers.health import federation_of
from catalog_api.edge.responses import Answer
from catalog_api.index.health import STATES, worst_first
from catalog_api.index.visits import elapsed_s, way_of
from catalog_api.web import health_words
from catalog_api.web.event_words import read_events
from catalog_api.web.health_words import strip_of
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import live_policy
from catalog_api.web.shelf import shelf_of

_EVENTS = 8


@page
async def get_instances(made: Page) -> Answer:
    """GET /instances."""
    catalog = made.catalog
    found = worst_first(await catalog.health.read())
    running = await catalog.visits.running.get()
    states = Counter(each.state for each in found)
    return made.answer(
        "instances.html", policy=live_policy(), text=health_words, told=federation_of(found, running),
        states=[(state, states[state]) for state in STATES if states[state]],
        rows=[(each, strip_of(each)) for each in found],
        running=running, way_of=way_of, elapsed_s=elapsed_s, live_words=live_words(made.words.texts),
        events=await read_events(catalog.index, made.words, _EVENTS), charts=charts_of(made),
    )  # fmt: skip


def live_words(texts: Mapping[str, str]) -> dict[str, str]:
    """What the page says of visits and states as they change."""
    wanted = ("unit_", "phase_", "state_", "left", "n_pictures", "progress_of")
    return {name: text for name, text in texts.items() if name.startswith(wanted)}


def charts_of(made: Page) -> str:
    """The address of the library that draws charts; "" where it was not fetched: tables say it all."""
    shelf = shelf_of(made.catalog.settings.viewer_dir)
    return shelf.href("viewer/chart.umd.js") if "viewer/chart.umd.js" in shelf.files else ""
