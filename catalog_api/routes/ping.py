"""The endpoint by which an instance says that it changed: it is visited at once instead of when its turn comes."""

from __future__ import annotations

import math

import asyncpg
from starlette.requests import Request

from catalog_api.edge.responses import Answer, NotFound, error_answer, json_answer
from catalog_api.state import catalog_of
from federation.database import Row
from federation.queries import query
from federation.tokens import Scope, Token, is_secret, use_token

_CHALLENGE = [(b"www-authenticate", b'Bearer realm="panofed"')]


async def post_ping(request: Request) -> Answer:
    """POST /api/instances/{name}/ping, with `Authorization: Bearer <token>`. The body is not read."""
    catalog, name = catalog_of(request), request.path_params["name"]
    secret = bearer(request.headers.get("authorization", ""))
    if secret is None:
        return _unknown()
    async with catalog.operators.use() as connection:
        token = await use_token(connection, secret)
        if token is None:
            return _unknown()
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


def bearer(header: str) -> str | None:
    """The token of an Authorization header, None when it cannot hold one.

    >>> bearer("Bearer x") is None, bearer("") is None, bearer("Basic dTpw") is None
    (True, True, True)
    >>> bearer("bearer panofed_" + "a" * 43)[:12]
    'panofed_aaaa'
    """
    scheme, _, secret = header.strip().partition(" ")
    return secret.strip() if scheme.lower() == "bearer" and is_secret(secret.strip()) else None


def _unknown() -> Answer:
    return error_answer(401, "a token of this instance is needed: Authorization: Bearer <token>", headers=_CHALLENGE)
