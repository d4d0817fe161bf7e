"""The endpoint of statistics."""

from __future__ import annotations

from starlette.requests import Request

from catalog_api.edge.responses import Answer, json_answer
from catalog_api.state import catalog_of


async def get_stats(request: Request) -> Answer:
    """GET /api/stats."""
    return json_answer(await catalog_of(request).figures.stats.get())
