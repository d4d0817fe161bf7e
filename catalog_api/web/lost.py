"""What is answered where nothing is: an error as JSON to programs, and a page with ways on to people."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from catalog_api.edge.endpoint import deliver
from catalog_api.edge.responses import NotFound, error_answer
from catalog_api.web.pages import problem_page


async def nothing_here(scope: Scope, receive: Receive, send: Send) -> None:
    """The application behind all routes."""
    if scope["type"] != "http":
        return
    path, request = scope["path"], Request(scope)
    what = f"there is nothing at {path[:200]!r}"
    is_api = path == "/api" or path.startswith("/api/")
    wants_page = "text/html" in request.headers.get("accept", "") and scope["method"] in ("GET", "HEAD")
    answer = problem_page(request, NotFound(what)) if wants_page and not is_api else error_answer(404, what)
    await deliver(answer, scope, receive, send)
