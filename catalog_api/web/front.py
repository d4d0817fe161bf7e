"""The front page: the official viewer on the map of this catalog; and what lies under it, from no other host."""

from __future__ import annotations

import orjson
import xxhash
from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, NotFound, json_answer
from catalog_api.state import catalog_of
from catalog_api.web.about import make_about
from catalog_api.web.pages import Page, page
from catalog_api.web.policy import confirmed_sources, map_policy, service_sources, silenced
from catalog_api.web.shelf import shelf_of

#: Colours of the sea, the land, its edge and borders, by theme.
_THEMES = {
    "light": ("#d5e3ec", "#f4f2ec", "#b9c8d2", "#c9c2b4"),
    "dark": ("#10171f", "#232b35", "#3a4653", "#465260"),
}


@page
async def get_home(made: Page) -> Answer:
    """GET /. Without the viewer it says how to get it, and what there is besides."""
    settings = made.catalog.settings
    if not shelf_of(settings.viewer_dir).viewer:
        return await make_about(made, missing=True)
    await made.catalog.registry.know(())
    policy = map_policy(confirmed_sources(made.catalog.registry), service_sources(settings))
    return made.answer(
        "front.html", policy=policy,
        # browsers keep the policy of a page that has not changed: with another policy it is another page
        edition=xxhash.xxh3_64_hexdigest(policy.encode()),
        silenced=orjson.dumps(silenced(settings)).decode(), geocoder=settings.geocoder,
        embedded="embed" in made.request.query_params,
    )  # fmt: skip


async def get_basemap(request: Request) -> Answer:
    """GET /basemap/{theme}.json: a MapLibre style of land, sea and borders, from one file of our own.

    The viewer waits for most of the background's tiles: a style without any source would keep it waiting for ever.
    """
    catalog, theme = catalog_of(request), request.path_params["theme"]
    if theme not in _THEMES:
        raise NotFound(f"there is no theme {theme[:60]!r}: only {', '.join(_THEMES)}")
    shelf = shelf_of(catalog.settings.viewer_dir)
    # viewers ask for sources by whole addresses
    base = catalog.writer(host_of(request)).base.removesuffix("/api")
    return json_answer(write_style(theme, base + shelf.href("viewer/outline.json")))


def write_style(theme: str, outline: str) -> dict[str, object]:
    """The style with these colours; `outline` is the address of the countries."""
    sea, land, coast, border = _THEMES[theme]
    return {
        "version": 8,
        "name": f"Countries, {theme}",
        "sources": {"world": {"type": "geojson", "data": outline, "attribution": "Natural Earth"}},
        "layers": [
            {"id": "sea", "type": "background", "paint": {"background-color": sea}},
            _layer("land", "fill", "land", {"fill-color": land}),
            _layer("coast", "line", "land", {"line-color": coast, "line-width": 0.8}),
            _layer("borders", "line", "border", {"line-color": border, "line-dasharray": [3, 2]}),
        ],
    }


def _layer(name: str, form: str, kind: str, paint: dict[str, object]) -> dict[str, object]:
    return {"id": name, "type": form, "source": "world", "filter": ["==", ["get", "kind"], kind], "paint": paint}
