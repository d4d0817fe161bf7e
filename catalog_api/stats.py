"""The endpoint of statistics."""

from __future__ import annotations

from starlette.requests import Request

from catalog_api.items import catalog_of
from catalog_api.responses import Answer, json_answer


async def get_stats(request: Request) -> Answer:
    """GET /api/stats."""
    return json_answer(await catalog_of(request).figures.stats.get())
