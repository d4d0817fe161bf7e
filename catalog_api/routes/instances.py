"""Endpoints of instances: who is in the federation, what is held of each, how it is, and its logo."""

from __future__ import annotations

from datetime import datetime

import orjson
from starlette.requests import Request

from catalog_api.answers.health import health_of
from catalog_api.edge.responses import Answer, NotFound, json_answer
from catalog_api.index.figures import Freshness
from catalog_api.index.health import Health
from catalog_api.index.registry import web_root
from catalog_api.state import Catalog, catalog_of
from federation.capabilities import Capabilities
from federation.database import Row
from federation.queries import query


async def get_instances(request: Request) -> Answer:
    """GET /api/instances."""
    found = await catalog_of(request).health.read()
    return json_answer({"instances": [describe(each) for each in found]})


async def get_instance(request: Request) -> Answer:
    """GET /api/instances/{name}: by name, or by the stable id."""
    return json_answer(describe(await catalog_of(request).health.one(request.path_params["name"])))


async def find_instance(catalog: Catalog, name: str) -> Row:
    """The row of an instance; NotFound when there is none of that name or id. A name goes before an id."""
    rows = [] if "\x00" in name else await catalog.index.fetch(query("catalog_instances"), name)
    if not rows:
        raise NotFound(f"there is no instance {name[:60]!r}")
    return next((row for row in rows if row["name"] == name), rows[0])


def describe(health: Health) -> dict[str, object]:
    """An instance as answers show it."""
    row, held = health.row, health.held
    # the misspelt key is the one today's clients read
    last = _text(row["last_success_at"])
    stale = why_stale(row)
    return {
        "id": row["id"],
        "name": row["name"],
        "url": web_root(row["url"]),
        "state": row["state"],
        "state_reason": row["state_reason"] or None,
        "version": row["version"] or None,
        "configuration": orjson.loads(row["configuration"]),
        "capabilities": Capabilities.read(orjson.loads(row["capabilities"])).words() or None,
        "registered_at": _text(row["registered_at"]),
        "last_succesful_harvest": last,
        "last_successful_harvest": last,
        "last_attempt": _text(row["last_attempt_at"]),
        "unreached_since": _text(row["unreached_since"]),
        "last_change": _text(row["last_change_at"]),
        "next_visit": _text(row["next_visit_at"]) if row["state"] == "enabled" else None,
        "lag_s": health.lag_s,
        "failures": row["failures"],
        "last_error": row["last_error"] or None,
        "stale": stale is not None,
        "stale_reason": stale,
        "freshness": _freshness(health.freshness),
        "nb_sequences": held.sequences,
        "nb_pictures": held.pictures,
        "licenses": sorted(held.licenses),
        "extent": {"temporal": {"interval": [[_text(held.first), _text(held.last)]]}},
        "health": health_of(health),
    }


def why_stale(row: Row) -> str | None:
    """Why what is held may be older than what the instance shows; None when nothing speaks for it."""
    if row["state"] != "enabled":
        return {
            "braked": "harvest is stopped: it seems to have lost many pictures at once",
            "paused": "harvest is paused",
        }.get(str(row["state"]), "it is not harvested")
    if row["cut_off"]:
        return "it does not answer: it is not asked for a while"
    if row["failures"]:
        return "its last visit failed"
    return None if row["last_success_at"] else "it has not been visited yet"


def _freshness(freshness: Freshness | None) -> dict[str, int] | None:
    if freshness is None:
        return None
    return {"changes": freshness.changes, "median_s": freshness.median_s, "p95_s": freshness.p95_s}


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
