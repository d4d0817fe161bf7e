"""The OpenAPI document of what is really served: the routes, with the description of each operation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from catalog_api.edge.endpoint import Endpoint
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer
from catalog_api.openapi.desk_schemas import DESK_SCHEMAS
from catalog_api.openapi.join_operations import JOIN_SCHEMAS
from catalog_api.openapi.operation import Operation, Response
from catalog_api.openapi.operations import OPERATIONS
from catalog_api.openapi.parameters import Parameter
from catalog_api.openapi.schemas import SCHEMAS
from catalog_api.state import catalog_of
from federation.settings import Settings

OPENAPI = b"application/vnd.oai.openapi+json;version=3.1"
#: Statuses that every operation may have, and those that some have.
_ALWAYS = {
    414: "The address is longer than is read",
    429: "Too many requests, where a limit is set; with Retry-After",
    503: "The database does not answer, or the request asks for too much; with Retry-After",
}
_SOME = {
    400: "A parameter that cannot be used; `details` names it and its value",
    401: "A token is needed",
    403: "The token is not for this",
    404: "There is no such thing",
    409: "It cannot be done in this state",
    410: "The feed does not reach back so far",
    413: "The body is larger than is read",
    416: "The range is outside of the file",
    429: "Too soon, or too many requests; with Retry-After",
}


async def get_document(request: Request) -> Answer:
    """GET /api/docs/specs.json and /openapi.json."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base
    document = describe(routes_of(request), catalog.settings, base.removesuffix("/api"))
    return Answer(body=orjson.dumps(document), media_type=OPENAPI)


def routes_of(request: Request) -> list[BaseRoute]:
    """The routes that this request was found among."""
    found: list[BaseRoute] = request.scope["router"].routes
    return found


def describe(routes: Iterable[BaseRoute], settings: Settings, base: str) -> dict[str, Any]:
    """The document of these routes at an address; what is not described is left out."""
    paths: dict[str, Any] = {}
    for route in routes:
        if isinstance(route, Route) and isinstance(route.endpoint, Endpoint):
            known = OPERATIONS.get(route.path, {})
            methods = {method: known[method] for method in route.endpoint.handlers if method in known}
            if methods:
                paths[route.path] = {
                    method.lower(): _operation(method, route.path, each, settings) for method, each in methods.items()
                }
    info = {
        "title": settings.catalog_title,
        "description": settings.catalog_description,
        "version": "1.0.0",
        "license": {"name": "Each picture has its own, see its `license`"},
    }
    return {
        "openapi": "3.1.0",
        "info": info | ({"contact": {"email": settings.catalog_contact}} if settings.catalog_contact else {}),
        "servers": [{"url": base}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS | DESK_SCHEMAS | JOIN_SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(method: str, path: str, operation: Operation, settings: Settings) -> dict[str, Any]:
    said: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{method.lower()}{path}").strip("_"),
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": [each.described(settings) for each in _unique(operation.takes)],
        "responses": {str(status): _response(each) for status, each in operation.answers} | _errors(operation),
    }
    if operation.body:
        schema = {"$ref": f"#/components/schemas/{operation.body}"}
        said["requestBody"] = {"content": {"application/json": {"schema": schema}}}
    if operation.secured:
        said["security"] = [{"token": []}]
    return said


def _unique(parameters: Iterable[Parameter]) -> list[Parameter]:
    return list({(each.where, each.name): each for each in parameters}.values())


def _response(response: Response) -> dict[str, Any]:
    said: dict[str, Any] = {"description": response.description}
    if response.content:
        said["content"] = {
            kind: {"schema": {"$ref": f"#/components/schemas/{name}"}} if name else {}
            for kind, name in response.content
        }
    return said


def _errors(operation: Operation) -> dict[str, Any]:
    texts = _ALWAYS | {status: _SOME[status] for status in operation.errors}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    return {str(status): {"description": text, "content": content} for status, text in sorted(texts.items())}
