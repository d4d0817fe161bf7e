"""The endpoint by which an instance says that it changed: it is visited at once instead of when its turn comes."""

from __future__ import annotations

import math

import asyncpg
from starlette.requests import Request

from catalog_api.access.bearer import Shown
from catalog_api.edge.responses import Answer, NotFound, error_answer, json_answer
from catalog_api.state import catalog_of
from federation.database import Row
from federation.queries import query
from federation.tokens import Scope, Token


async def post_ping(request: Request) -> Answer:
    """POST /api/instances/{name}/ping, with `Authorization: Bearer <token>`. The body is not read."""
    catalog, name, shown = catalog_of(request), request.path_params["name"], Shown.by(request)
    async with catalog.operators.use() as connection:
        token = await shown.token(connection)
        rows = [] if "\x00" in name else await connection.fetch(query("instance_to_ping"), name)
        if not rows:
            raise NotFound(f"there is no instance {name[:60]!r}")
        return await _ping(connection, token, rows[0], catalog.settings.ping_interval_s)


async def _ping(connection: asyncpg.Connection, token: Token, instance: Row, interval_s: float) -> Answer:
    if not token.allows(Scope.PING, instance["n"]):
        return error_answer(403, f"this token is not for the instance {instance['name']!r}")
    if instance["state"] != "enabled":
        return error_answer(409, f"the instance {instance['name']!r} is {instance['state']}: it is not visited")
    row = await connection.fetchrow(query("ping_instance"), instance["n"], interval_s)
    if row is None:
        wait = b"%d" % max(1, math.ceil(interval_s))
        message = f"the instance {instance['name']!r} was pinged less than {interval_s:g} s ago"
        return error_answer(429, message, headers=[(b"retry-after", wait)])
    visit = {"pinged_at": row["pinged_at"], "next_visit_at": row["next_visit_at"]}
    return json_answer({"instance": instance["name"], "visit": visit}, status=202, cache=b"no-store")
