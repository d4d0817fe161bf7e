"""Endpoints about the federation and the catalog itself: instances, landing page, conformance, settings, liveness."""

from __future__ import annotations

from datetime import datetime

import orjson
from starlette.requests import Request

from catalog_api.items import catalog_of, host_of
from catalog_api.registry import web_root
from catalog_api.responses import Answer, NotFound, json_answer
from catalog_api.stac import CONFORMS_TO
from federation.database import Row
from federation.queries import query

_SHORT_CACHE = b"public, max-age=60"


async def get_instances(request: Request) -> Answer:
    """GET /api/instances."""
    rows = await catalog_of(request).index.fetch(query("catalog_instances"), None)
    return json_answer({"instances": [_instance(row) for row in rows]})


async def get_instance(request: Request) -> Answer:
    """GET /api/instances/{name}: by name, or by the stable id."""
    name = request.path_params["name"]
    rows = [] if "\x00" in name else await catalog_of(request).index.fetch(query("catalog_instances"), name)
    if not rows:
        raise NotFound(f"there is no instance {name[:60]!r}")
    return json_answer(_instance(next((row for row in rows if row["name"] == name), rows[0])))


def _instance(row: Row) -> dict[str, object]:
    last = _text(row["last_success_at"])
    return {
        "id": row["id"],
        "name": row["name"],
        "url": web_root(row["url"]),
        "state": row["state"],
        "version": row["version"] or None,
        "configuration": orjson.loads(row["configuration"]),
        "registered_at": _text(row["registered_at"]),
        # the misspelt key is the one today's clients read
        "last_succesful_harvest": last,
        "last_successful_harvest": last,
        "last_attempt": _text(row["last_attempt_at"]),
        "last_change": _text(row["last_change_at"]),
        "failures": row["failures"],
        "last_error": row["last_error"] or None,
        "nb_sequences": row["sequences"],
        "nb_pictures": row["pictures"],
        "extent": {"temporal": {"interval": [[_text(row["datetime_min"]), _text(row["datetime_max"])]]}},
    }


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()


async def get_landing(request: Request) -> Answer:
    """GET /api."""
    catalog = catalog_of(request)
    totals = await catalog.totals()
    base = catalog.writer(host_of(request)).base
    bbox = totals["bbox"] if totals["bbox"] and totals["bbox"][0] is not None else [-180.0, -90.0, 180.0, 90.0]
    return json_answer(
        {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "stac_extensions": [],
            "id": "panofed",
            "title": catalog.settings.catalog_title,
            "description": catalog.settings.catalog_description,
            "conformsTo": CONFORMS_TO,
            "extent": {
                "spatial": {"bbox": [bbox]},
                "temporal": {"interval": [[_text(totals["datetime_min"]), _text(totals["datetime_max"])]]},
            },
            "nb_pictures": totals["pictures"],
            "nb_sequences": totals["sequences"],
            "links": _landing_links(base, catalog.settings.catalog_title),
        }
    )


def _landing_links(base: str, title: str) -> list[dict[str, str]]:
    json, geojson, jpeg = "application/json", "application/geo+json", "image/jpeg"
    return [
        {"rel": "self", "type": json, "href": f"{base}/"},
        {"rel": "root", "type": json, "href": f"{base}/", "title": title},
        {"rel": "conformance", "type": json, "href": f"{base}/conformance"},
        {"rel": "data", "type": json, "href": f"{base}/collections"},
        {"rel": "search", "type": geojson, "href": f"{base}/search", "method": "GET"},
        {"rel": "search", "type": geojson, "href": f"{base}/search", "method": "POST"},
        {"rel": "collection-preview", "type": jpeg, "href": f"{base}/collections/{{id}}/thumb.jpg"},
        {"rel": "item-preview", "type": jpeg, "href": f"{base}/pictures/{{id}}/thumb.jpg"},
    ]


async def get_conformance(request: Request) -> Answer:
    """GET /api/conformance."""
    return json_answer({"conformsTo": CONFORMS_TO}, cache=_SHORT_CACHE)


async def get_live(request: Request) -> Answer:
    """GET /api/live: 200 when the database answers."""
    await catalog_of(request).index.fetch(query("catalog_alive"))
    return json_answer({"status": "ok"}, cache=b"no-store")


async def get_configuration(request: Request) -> Answer:
    """GET /api/configuration, in the shape of an instance's."""
    settings = catalog_of(request).settings
    return json_answer(
        {
            "name": _label(settings.catalog_title),
            "description": _label(settings.catalog_description),
            "auth": {"enabled": False},
            "license": {},
        },
        cache=_SHORT_CACHE,
    )


def _label(text: str) -> dict[str, object]:
    return {"label": text, "langs": {"en": text}}
