"""The catalog as an ASGI application: routes, and what a worker opens when it starts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.routing import BaseRoute, Route, Router
from starlette.types import ASGIApp

from catalog_api.edge.endpoint import Endpoint, PrivateEndpoint
from catalog_api.edge.middleware import Edge
from catalog_api.edge.paths import Paths
from catalog_api.edge.tally import Tally
from catalog_api.openapi.document import get_document
from catalog_api.routes import (
    administration,
    changes,
    checks,
    docs_page,
    exports,
    federation_health,
    health,
    instances,
    items,
    landing,
    logos,
    metrics,
    operating,
    pictures,
    ping,
    queryables,
    registrations,
    runs,
    sequences,
    stats,
    tiles,
    users,
)
from catalog_api.routes.metrics import telling
from catalog_api.slots import ALONE, Slot
from catalog_api.state import open_catalog
from catalog_api.web import (
    about,
    admin_page,
    coverage,
    event_feeds,
    front,
    instance_page,
    instances_page,
    operator_page,
    picture_page,
    register,
    run_page,
    sequence_list,
    shelf,
    sign_in,
)
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
        Route("/api/health", Endpoint(GET=federation_health.get_health)),
        Route("/api/health/{table}", Endpoint(GET=federation_health.get_table)),
        Route("/api/runs", Endpoint(GET=runs.get_runs)),
        Route("/api/runs/events", Endpoint(GET=runs.get_run_events)),
        Route("/api/runs/{n}", Endpoint(GET=runs.get_run)),
        Route("/api/instances", Endpoint(GET=instances.get_instances, POST=registrations.post_instance)),
        Route("/api/instances/check", Endpoint(POST=checks.post_check)),
        Route("/api/instances/checks/{check}", Endpoint(GET=checks.get_check)),
        Route("/api/instances/checks/{check}/events", Endpoint(GET=checks.get_events)),
        Route("/api/registrations/{registration}", Endpoint(GET=registrations.get_registration)),
        Route("/api/registrations/{registration}/check", Endpoint(POST=registrations.post_check)),
        Route("/api/instances/{name}", Endpoint(GET=instances.get_instance)),
        Route("/api/instances/{name}/logo", Endpoint(GET=logos.get_logo)),
        Route("/api/instances/{name}/ping", Endpoint(POST=ping.post_ping)),
        Route("/api/operator/instances/{name}/runs", PrivateEndpoint(GET=operating.get_runs)),
        Route("/api/operator/instances/{name}/errors", PrivateEndpoint(GET=operating.get_errors)),
        Route("/api/operator/instances/{name}/quarantine", PrivateEndpoint(GET=operating.get_quarantine)),
        Route("/api/operator/instances/{name}/{act}", PrivateEndpoint(POST=operating.post_act)),
        Route(
            "/api/operator/instances/{name}",
            PrivateEndpoint(GET=operating.get_instance, PATCH=operating.patch_instance),
        ),
        Route("/api/admin/instances", PrivateEndpoint(GET=administration.get_instances)),
        Route("/api/admin/instances/{name}/{act}", PrivateEndpoint(POST=operating.post_admin_act)),
        Route("/api/admin/registrations", PrivateEndpoint(GET=administration.get_registrations)),
        Route("/api/admin/registrations/{n}/{act}", PrivateEndpoint(POST=administration.post_registration)),
        Route(
            "/api/admin/takedowns",
            PrivateEndpoint(GET=administration.get_takedowns, POST=administration.post_takedown),
        ),
        Route("/api/admin/takedowns/{n}/end", PrivateEndpoint(POST=administration.post_takedown_end)),
        Route("/api/admin/tokens", PrivateEndpoint(GET=administration.get_tokens, POST=administration.post_token)),
        Route("/api/admin/tokens/{n}/revoke", PrivateEndpoint(POST=administration.post_token_revoke)),
        Route("/api/admin/links", PrivateEndpoint(GET=administration.get_links, POST=administration.post_link)),
        Route("/api/admin/links/{n}/revoke", PrivateEndpoint(POST=administration.post_link_revoke)),
        Route("/api/admin/events", PrivateEndpoint(GET=administration.get_events)),
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
        Route("/instances", Endpoint(GET=instances_page.get_instances)),
        Route("/instances/{name}", Endpoint(GET=instance_page.get_instance)),
        Route("/runs/{n}", Endpoint(GET=run_page.get_run)),
        Route("/coverage.svg", Endpoint(GET=coverage.get_coverage)),
        Route("/events.atom", Endpoint(GET=event_feeds.get_atom)),
        Route("/events.json", Endpoint(GET=event_feeds.get_json)),
        Route("/about", Endpoint(GET=about.get_about)),
        Route("/register", PrivateEndpoint(GET=register.get_register, POST=register.post_register)),
        Route(
            "/registrations/{registration}",
            PrivateEndpoint(GET=register.get_registration, POST=register.post_registration),
        ),
        Route("/checks/{check}", PrivateEndpoint(GET=register.get_check)),
        Route("/sign-in", PrivateEndpoint(GET=sign_in.get_sign_in, POST=sign_in.post_sign_in)),
        Route("/sign-out", PrivateEndpoint(POST=sign_in.post_sign_out)),
        Route("/operator", PrivateEndpoint(GET=operator_page.get_operator)),
        Route("/operator/{name}", PrivateEndpoint(GET=operator_page.get_instance)),
        Route("/operator/{name}/leave", PrivateEndpoint(GET=operator_page.get_leave, POST=operator_page.post_leave)),
        Route("/operator/{name}/link", PrivateEndpoint(POST=operator_page.post_link)),
        Route("/operator/{name}/{act}", PrivateEndpoint(POST=operator_page.post_act)),
        Route("/admin", PrivateEndpoint(GET=admin_page.get_admin)),
        Route("/admin/registrations", PrivateEndpoint(GET=admin_page.get_registrations)),
        Route("/admin/registrations/{n}/{act}", PrivateEndpoint(POST=admin_page.post_registration)),
        Route("/admin/takedowns", PrivateEndpoint(GET=admin_page.get_takedowns, POST=admin_page.post_takedowns)),
        Route("/admin/takedowns/{n}/end", PrivateEndpoint(POST=admin_page.post_takedown_end)),
        Route("/admin/access", PrivateEndpoint(GET=admin_page.get_access)),
        Route("/admin/access/tokens", PrivateEndpoint(POST=admin_page.post_token)),
        Route("/admin/access/links", PrivateEndpoint(POST=admin_page.post_link)),
        Route("/admin/access/{kind}/{n}/revoke", PrivateEndpoint(POST=admin_page.post_revoke)),
        Route("/admin/log", PrivateEndpoint(GET=admin_page.get_log)),
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
