"""The page of one instance: how it is and was, what is held of it, its visits, and who may contribute to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from catalog_api.edge.responses import Answer
from catalog_api.index.health import DAYS, Health
from catalog_api.index.registry import web_root
from catalog_api.index.visits import elapsed_s, read_number, way_of
from catalog_api.web import health_words
from catalog_api.web.event_words import read_events
from catalog_api.web.health_words import strip_of
from catalog_api.web.instances_page import charts_of
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import confirmed_sources, live_policy
from federation.queries import query

_RUNS, _EVENTS = 20, 8
_TEXT_MAX, _LONG_MAX = 200, 2_000


@page
async def get_instance(made: Page) -> Answer:
    """GET /instances/{name}: by name, or by the stable id."""
    catalog, asked = made.catalog, made.request.query_params
    health = await catalog.health.one(made.request.path_params["name"])
    number = health.row["n"]
    before = read_number("before", asked["before"]) if asked.get("before") else None
    runs = await catalog.index.fetch(query("catalog_runs"), number, before, _RUNS)
    await catalog.registry.know((number,))
    return made.answer(
        "instance.html", policy=live_policy(confirmed_sources(catalog.registry)), text=health_words,
        health=health, row=health.row, strip=strip_of(health), uptimes=[(n, health.uptime(n)) for n in (7, 30, DAYS)],
        own=Own.read(health, made.words.code), charts=charts_of(made), runs=runs, elapsed_s=elapsed_s, way_of=way_of,
        running=[run for run in await catalog.visits.running.get() if run["instance"] == number],
        older=runs[-1]["n"] if len(runs) == _RUNS else None,
        events=await read_events(catalog.index, made.words, _EVENTS, instance=number),
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What an instance says of itself, as far as it can be shown: text is text, and addresses are of the web.

    `contribute` is open, closed, nobody or unknown; `terms`: they have to be accepted before an upload.
    """

    title: str
    description: str
    coverage: str
    contact: str
    web: str
    license: str
    license_url: str
    contribute: str
    terms: bool

    @classmethod
    def read(cls, health: Health, language: str) -> Own:
        """Whatever is not there, or is of another kind than it should be, is left out."""
        known = orjson.loads(health.row["configuration"])
        told: Mapping[str, Any] = known if isinstance(known, dict) else {}
        license_told = told["license"] if isinstance(told.get("license"), dict) else {}
        auth = told["auth"] if isinstance(told.get("auth"), dict) else {}
        return cls(
            title=words_in(told.get("name"), language)[:_TEXT_MAX],
            description=words_in(told.get("description"), language)[:_LONG_MAX],
            coverage=words_in(told.get("geo_coverage"), language)[:_TEXT_MAX],
            # what it publishes itself: what its operator told this catalog is for administrators
            contact=words_in(told.get("email"), language)[:_TEXT_MAX],
            web=address(web_root(health.row["url"])),
            license=words_in(license_told.get("id"), language)[:_TEXT_MAX],
            license_url=address(license_told.get("url")),
            contribute=who_contributes(told, auth),
            terms=auth.get("enforce_tos_acceptance") is True,
        )


def who_contributes(told: Mapping[str, Any], auth: Mapping[str, Any]) -> str:
    """Who may upload, by the configuration of the instance.

    >>> who_contributes({}, {"enabled": True, "registration_is_open": True}), who_contributes({}, {"enabled": True})
    ('open', 'closed')
    >>> who_contributes({"is_read_only": True}, {"registration_is_open": True}), who_contributes({}, {})
    ('nobody', 'unknown')
    """
    if told.get("is_read_only") is True:
        return "nobody"
    if auth.get("enabled") is not True:
        return "unknown"
    return "open" if auth.get("registration_is_open") is True else "closed"


def words_in(value: object, language: str) -> str:
    """A text that may be told in several languages; "" for anything else.

    >>> words_in({"label": "Here", "langs": {"fr": "Ici"}}, "fr"), words_in("Here", "fr"), words_in(["Here"], "fr")
    ('Ici', 'Here', '')
    >>> words_in({"fr": "Ici", "en": "Here"}, "de")
    'Here'
    """
    if isinstance(value, str):
        return value.strip()
    if not isinstance(value, dict):
        return ""
    langs = value["langs"] if isinstance(value.get("langs"), dict) else value
    found = [langs.get(language), value.get("label"), langs.get("en"), *langs.values()]
    return next((each.strip() for each in found if isinstance(each, str) and each.strip()), "")


def address(value: object) -> str:
    """An address of the web, "" for anything else: a link could hold a program.

    >>> address("https://a.example/x"), address("javascript:alert(1)"), address(None)
    ('https://a.example/x', '', '')
    """
    good = isinstance(value, str) and value.startswith(("https://", "http://")) and value.isprintable()
    return str(value)[:_LONG_MAX] if good else ""
