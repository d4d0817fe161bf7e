"""The catalog as an ASGI application: routes, and what a worker opens when it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from catalog_api.edge.endpoint import Endpoint
from catalog_api.edge.middleware import Edge
from catalog_api.edge.paths import Paths
from catalog_api.edge.tally import Tally
from catalog_api.openapi.document import get_document
from catalog_api.routes import (
    changes,
    docs_page,
    exports,
    health,
    instances,
    items,
    landing,
    logos,
    metrics,
    pictures,
    ping,
    queryables,
    sequences,
    stats,
    tiles,
    users,
)
from catalog_api.routes.metrics import telling
from catalog_api.slots import ALONE, Slot
from catalog_api.state import open_catalog
from catalog_api.web import about, front, picture_page, sequence_list, shelf
from catalog_api.web.lost import nothing_here
from federation.settings import Settings


def routes() -> list[BaseRoute]:
    """Every path there is, those asked for most first. Trailing slashes are gone when a path is compared."""
    picture = Endpoint(GET=pictures.get_picture)
    return [
        Route("/api/map/{z}/{x}/{y}.mvt", Endpoint(GET=tiles.get_tile)),
        Route("/api/map/2/{z}/{x}/{y}.mvt", Endpoint(GET=tiles.get_hexagon_tile)),
        Route("/api/collections/{sequence}/items/{picture}", picture),
        Route("/api/search", Endpoint(GET=items.get_search, POST=items.post_search)),
        Route("/api/pictures/{picture}", picture),
        Route("/api/pictures/{picture}/{size}.jpg", Endpoint(GET=pictures.get_file)),
        Route("/api/collections/{sequence}/items", Endpoint(GET=sequences.get_items)),
        Route("/api/collections/{sequence}/queryables", Endpoint(GET=queryables.get_collection_queryables)),
        Route("/api/collections/{sequence}/thumb.jpg", Endpoint(GET=pictures.get_thumbnail)),
        Route("/api/queryables", Endpoint(GET=queryables.get_queryables)),
        Route("/api/collections/queryables", Endpoint(GET=queryables.get_collections_queryables)),
        Route("/api/collections/{sequence}", Endpoint(GET=sequences.get_sequence)),
        Route("/api/collections", Endpoint(GET=sequences.get_sequences)),
        Route("/api/changes", Endpoint(GET=changes.get_changes)),
        Route("/api/exports", Endpoint(GET=exports.get_manifest)),
        Route("/api/exports/{file}", Endpoint(GET=exports.get_export)),
        Route("/api/live", Endpoint(GET=health.get_live)),
        Route("/api/ready", Endpoint(GET=health.get_ready)),
        Route("/metrics", Endpoint(GET=metrics.get_metrics)),
        Route("/api/users", Endpoint(GET=users.get_users)),
        Route("/api/users/search", Endpoint(GET=users.search_users)),
        Route("/api/users/{user}", Endpoint(GET=users.get_user)),
        Route("/api/users/{user}/collection", Endpoint(GET=users.get_user_collection)),
        Route("/api/users/{user}/catalog", Endpoint(GET=users.get_user_catalog)),
        Route("/api/users/{user}/map/style.json", Endpoint(GET=tiles.get_user_style)),
        Route("/api/users/{user}/map/{z}/{x}/{y}.mvt", Endpoint(GET=tiles.get_user_tile)),
        Route("/api/map/style.json", Endpoint(GET=tiles.get_style)),
        Route("/api/map/tiles.json", Endpoint(GET=tiles.get_tilejson)),
        Route("/api/map/2/tiles.json", Endpoint(GET=tiles.get_hexagon_tilejson)),
        Route("/api/instances", Endpoint(GET=instances.get_instances)),
        Route("/api/instances/{name}", Endpoint(GET=instances.get_instance)),
        Route("/api/instances/{name}/logo", Endpoint(GET=logos.get_logo)),
        Route("/api/instances/{name}/ping", Endpoint(POST=ping.post_ping)),
        Route("/api/stats", Endpoint(GET=stats.get_stats)),
        Route("/api/docs/specs.json", Endpoint(GET=get_document)),
        Route("/api/docs/swagger", Endpoint(GET=docs_page.get_page)),
        Route("/openapi.json", Endpoint(GET=get_document)),
        Route("/api/conformance", Endpoint(GET=landing.get_conformance)),
        Route("/api/configuration", Endpoint(GET=landing.get_configuration)),
        Route("/api", Endpoint(GET=landing.get_landing)),
        Route("/", Endpoint(GET=front.get_home)),
        Route("/basemap/{theme}.json", Endpoint(GET=front.get_basemap)),
        Route("/sequences", Endpoint(GET=sequence_list.get_sequences)),
        Route("/pictures/{picture}", Endpoint(GET=picture_page.get_picture)),
        Route("/about", Endpoint(GET=about.get_about)),
        Route("/favicon.ico", Endpoint(GET=shelf.get_icon)),
        Route("/assets/{version}/{file:path}", Endpoint(GET=shelf.get_file)),
    ]


def build_app(settings: Settings, dsn: str, slot: Slot = ALONE) -> ASGIApp:
    """The application for one worker. `dsn` is where the index is read; it need not answer yet."""
    tally = Tally(slot=slot.number, folder=slot.folder)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[Mapping[str, Any]]:
        async with open_catalog(settings, dsn, slot, tally) as catalog, telling(catalog):
            yield {"catalog": catalog}

    named = [_named(route) for route in routes()]
    router = Router(named, redirect_slashes=False, default=nothing_here, lifespan=lifespan)
    return Edge.of(Paths(router, named, nothing_here), settings, tally)


def _named(route: BaseRoute) -> BaseRoute:
    if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
        return Route(route.path, route.endpoint.at(route.path))
    return route
