"""A path is looked up to the route that starlette finds by comparing it with all of them in their order."""

from __future__ import annotations

import re
from typing import Any

from starlette.routing import Match, Route, Router

from catalog_api.app import routes
from catalog_api.edge.paths import Paths

ROUTES = [route for route in routes() if isinstance(route, Route)]


class _Named:
    def __init__(self, path: str) -> None:
        self.path = path

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert isinstance(scope["path_params"], dict)


MADE = [Route(route.path, _Named(route.path)) for route in ROUTES]
#: What parameters of a path are given: ordinary, and such as look like another route's literal part.
VALUES = ("a", "1", "search", "queryables", "manifest.json", "tiles.json", "2", "a.b")
KNOWN = sorted({re.sub(r"{[^}]+}", value, route.path) for route in ROUTES for value in VALUES})
UNKNOWN = [
    "",
    "/a",
    "/api/a",
    "/api/a/b",
    "/api/collections/a/b",
    "/api/users/a/b/c/d",
    "//",
    "/api//a",
    "/{a}",
    "/API",
]


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    scope["endpoint"] = None


async def found(path: str) -> str | None:
    """The pattern that answers this path; nobody really does."""
    asked: dict[str, Any] = {"type": "http", "path": path, "method": "GET", "root_path": "", "headers": []}
    await Paths(Router(), MADE, nothing)(asked, None, None)  # type: ignore[arg-type]
    return getattr(asked["endpoint"], "path", None)


async def test_the_same_route_as_by_comparing_all() -> None:
    for path in KNOWN + UNKNOWN:
        asked = {"type": "http", "path": path, "method": "GET", "root_path": "", "headers": []}
        expected = [route.path for route in ROUTES if route.matches(asked)[0] is Match.FULL]
        assert await found(path) == (expected[0] if expected else None), path
