"""Endpoints that say what can be filtered: of pictures in the whole catalog or in one sequence, and of sequences."""

from __future__ import annotations

from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, NotFound, json_answer
from catalog_api.query.params import as_uuid
from catalog_api.query.vocabulary import PICTURES, SEQUENCES, Vocabulary, queryables_schema
from catalog_api.state import catalog_of
from federation.queries import query

_SCHEMA_JSON = b"application/schema+json"


async def get_queryables(request: Request) -> Answer:
    """GET /api/queryables: of pictures, wherever they are."""
    return _answer(request, PICTURES, "queryables")


async def get_collections_queryables(request: Request) -> Answer:
    """GET /api/collections/queryables: of sequences, for the list of them."""
    return _answer(request, SEQUENCES, "collections/queryables")


async def get_collection_queryables(request: Request) -> Answer:
    """GET /api/collections/{id}/queryables: of the pictures of a sequence."""
    text = request.path_params["sequence"]
    identifier = as_uuid(text)
    rows = [] if identifier is None else await catalog_of(request).index.fetch(query("catalog_sequence"), identifier)
    if not rows:
        raise NotFound(f"there is no collection {text[:60]!r}")
    return _answer(request, PICTURES, f"collections/{identifier}/queryables")


def _answer(request: Request, vocabulary: Vocabulary, path: str) -> Answer:
    base = catalog_of(request).writer(host_of(request)).base
    return json_answer(queryables_schema(vocabulary, f"{base}/{path}"), media_type=_SCHEMA_JSON)
