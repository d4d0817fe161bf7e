"""Endpoints about the catalog itself: landing page, conformance, configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, json_answer
from catalog_api.index.figures import Held
from catalog_api.openapi.conformance import CONFORMS_TO
from catalog_api.query.vocabulary import QUERYABLES
from catalog_api.state import Catalog, catalog_of
from catalog_api.tiles.style import tiles_url
from federation.database import Row
from federation.settings import Settings

#: Addresses whose landing page is kept.
_BASES_MAX = 64
_SHORT_CACHE = b"public, max-age=60"
_JSON, _GEOJSON, _JPEG = "application/json", "application/geo+json", "image/jpeg"
_MVT = "application/vnd.mapbox-vector-tile"
OPENAPI = "application/vnd.oai.openapi+json;version=3.1"


async def get_landing(request: Request) -> Answer:
    """GET /api. Made anew only when one of the figures in it is: it is what clients ask for most."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base
    figures = await catalog.totals(), await catalog.figures.held.get(), await catalog.figures.configurations.get()
    kept = catalog.landings.get(base)
    if kept is None or any(old is not new for old, new in zip(kept[0], figures, strict=True)):
        if len(catalog.landings) >= _BASES_MAX:
            catalog.landings.clear()
        totals, held, configurations = figures
        answer = _landing(catalog.settings, base, totals, _licenses(held, configurations))
        kept = catalog.landings[base] = (figures, answer)
    return kept[1]


def _landing(settings: Settings, base: str, totals: Row, licenses: list[dict[str, str]]) -> Answer:
    bbox = totals["bbox"] if totals["bbox"] and totals["bbox"][0] is not None else [-180.0, -90.0, 180.0, 90.0]
    document: dict[str, object] = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": "panofed",
        "title": settings.catalog_title,
        "description": settings.catalog_description,
        "conformsTo": CONFORMS_TO,
        "extent": {
            "spatial": {"bbox": [bbox]},
            "temporal": {"interval": [[_text(totals["datetime_min"]), _text(totals["datetime_max"])]]},
        },
        "nb_pictures": totals["pictures"],
        "nb_sequences": totals["sequences"],
        "links": landing_links(base, settings.catalog_title, licenses),
    }
    if settings.catalog_contact:
        document["contacts"] = [{"name": settings.catalog_title, "emails": [{"value": settings.catalog_contact}]}]
    return json_answer(document)


def landing_links(base: str, title: str, licenses: list[dict[str, str]]) -> list[dict[str, str]]:
    """Where everything is; the licence when all share one."""
    links = [
        _link("self", _JSON, f"{base}/"),
        _link("root", _JSON, f"{base}/", title),
        _link("service-desc", OPENAPI, f"{base}/docs/specs.json", "OpenAPI document"),
        _link("service-doc", "text/html", f"{base}/docs/swagger", "Documentation of this API"),
        _link("conformance", _JSON, f"{base}/conformance"),
        _link("data", _JSON, f"{base}/collections", "Sequences"),
        _link("data", "application/rss+xml", f"{base}/collections?format=rss", "Newest sequences"),
        _link("child", _JSON, f"{base}/users", "Sequences by contributor"),
        _link("search", _GEOJSON, f"{base}/search", "Pictures") | {"method": "GET"},
        _link("search", _GEOJSON, f"{base}/search", "Pictures") | {"method": "POST"},
        _link(QUERYABLES, "application/schema+json", f"{base}/queryables", "What pictures can be filtered by"),
        _link("collection-preview", _JPEG, f"{base}/collections/{{id}}/thumb.jpg", "Thumbnail of a sequence"),
        _link("item-preview", _JPEG, f"{base}/pictures/{{id}}/thumb.jpg", "Thumbnail of a picture"),
        _link("xyz", _MVT, tiles_url(base), "Pictures, sequences and their density as vector tiles"),
        _link("xyz", _MVT, f"{base}/map/2/{{z}}/{{x}}/{{y}}.mvt", "The same with hexagons at every zoom"),
        _link("xyz-style", _JSON, f"{base}/map/style.json", "MapLibre style of the tiles"),
        _link("user-xyz", _MVT, f"{base}/users/{{userId}}/map/{{z}}/{{x}}/{{y}}.mvt", "Vector tiles of a contributor"),
        _link("user-xyz-style", _JSON, f"{base}/users/{{userId}}/map/style.json", "MapLibre style of a contributor"),
        _link("users", _JSON, f"{base}/users", "Contributors"),
        _link("user-search", _JSON, f"{base}/users/search", "Contributors by name"),
    ]
    if len(licenses) == 1 and "url" in licenses[0]:
        links.append({"rel": "license", "href": licenses[0]["url"], "title": f"License ({licenses[0]['id']})"})
    return links


def _link(rel: str, kind: str, href: str, title: str = "") -> dict[str, str]:
    link = {"rel": rel, "type": kind, "href": href}
    return link | {"title": title} if title else link


async def licenses_in_use(catalog: Catalog) -> list[dict[str, str]]:
    """Every licence that sequences name, with its address where an instance's configuration says it."""
    return _licenses(await catalog.figures.held.get(), await catalog.figures.configurations.get())


def _licenses(held: Mapping[int, Held], configurations: list[Any]) -> list[dict[str, str]]:
    addresses = dict(_addresses(configurations))
    names = sorted({name for each in held.values() for name in each.licenses})
    return [{"id": name, "url": addresses[name]} if name in addresses else {"id": name} for name in names]


def _addresses(configurations: list[Any]) -> Iterator[tuple[str, str]]:
    for members in configurations:
        said = members.get("license") if isinstance(members, dict) else None
        if isinstance(said, dict) and isinstance(said.get("id"), str) and isinstance(said.get("url"), str):
            if said["url"].startswith(("https://", "http://")):
                yield said["id"], said["url"]


async def get_conformance(request: Request) -> Answer:
    """GET /api/conformance."""
    return json_answer({"conformsTo": CONFORMS_TO}, cache=_SHORT_CACHE)


async def get_configuration(request: Request) -> Answer:
    """GET /api/configuration, in the shape of an instance's."""
    catalog = catalog_of(request)
    settings, licenses = catalog.settings, await licenses_in_use(catalog)
    answer: dict[str, object] = {
        "name": _label(settings.catalog_title),
        "description": _label(settings.catalog_description),
        "color": settings.catalog_colour,
        "geo_coverage": _label("Worldwide"),
        "auth": {"enabled": False},
        "license": licenses[0] if len(licenses) == 1 else {},
        "licenses": licenses,
        "pages": [],
    }
    if settings.catalog_contact:
        answer["email"] = settings.catalog_contact
    return json_answer(answer, cache=_SHORT_CACHE)


def _label(text: str) -> dict[str, object]:
    return {"label": text, "langs": {"en": text}}


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
