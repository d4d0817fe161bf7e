"""Endpoints of administrators: registrations, takedowns, who is let in, and the log."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta

import orjson
from starlette.requests import Request

from catalog_api.access.asked import (
    members_of,
    number_in,
    query_limit,
    query_number,
    row_number,
    text_in,
    uuid_in,
)
from catalog_api.access.bearer import asking
from catalog_api.access.who import Who
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound, json_answer
from catalog_api.routes.operating import own
from catalog_api.state import catalog_of
from federation.database import Connection
from federation.events import Kind
from federation.links import list_links, make_link, revoke_link
from federation.queries import query
from federation.registrations import approve, list_registrations, refuse
from federation.takedowns import end_takedown, list_takedowns, take_down
from federation.tokens import Scope, list_tokens, make_token, take_token_back

_HOURS_MAX = 720.0
_DAYS_MAX = 36_500.0
_REGISTRATION = (
    "n", "id", "state", "state_reason", "url", "name", "contact", "blurring", "note", "proved_at", "check",
    "check_outcome", "created_at",
)  # fmt: skip


async def get_instances(request: Request) -> Answer:
    """GET /api/admin/instances."""
    async with asking(request, Scope.ADMIN) as (connection, _):
        rows = await connection.fetch(query("instances_to_act_on"), None)
    return json_answer({"instances": [own(row) for row in rows]})


async def get_registrations(request: Request) -> Answer:
    """GET /api/admin/registrations."""
    async with asking(request, Scope.ADMIN) as (connection, _):
        found = await list_registrations(connection, most=catalog_of(request).settings.operator_rows)
    return json_answer({"registrations": [{name: getattr(each, name) for name in _REGISTRATION} for each in found]})


async def post_registration(request: Request) -> Answer:
    """POST /api/admin/registrations/{n}/{act}."""
    number, act = row_number(request.path_params["n"]), request.path_params["act"]
    if act not in ("approve", "refuse"):
        raise NotFound(f"there is nothing to do that is named {act[:60]!r}")
    async with asking(request, Scope.ADMIN) as (connection, who):
        members = members_of(request, "reason", "name", "url")
        if act == "approve":
            await approve(connection, number, who.actor)
            return json_answer({"done": "approved"})
        await refuse(connection, number, text_in(members, "reason", most=500, needed=True), who.actor)
        return json_answer({"done": "refused"})


async def get_takedowns(request: Request) -> Answer:
    """GET /api/admin/takedowns."""
    async with asking(request, Scope.ADMIN) as (connection, _):
        return json_answer({"takedowns": [asdict(each) for each in await list_takedowns(connection)]})


async def post_takedown(request: Request) -> Answer:
    """POST /api/admin/takedowns."""
    async with asking(request, Scope.ADMIN) as (connection, who):
        members = members_of(request, "kind", "id", "reason")
        kind = members.get("kind")
        if kind not in ("picture", "sequence"):
            raise BadRequest("kind", kind, "is none of picture, sequence")
        reason = text_in(members, "reason", needed=True)
        taken = await take_down(connection, kind, uuid_in(members, "id"), reason, who.actor)
    return json_answer(asdict(taken), status=201)


async def post_takedown_end(request: Request) -> Answer:
    """POST /api/admin/takedowns/{n}/end."""
    async with asking(request, Scope.ADMIN) as (connection, who):
        await end_takedown(connection, row_number(request.path_params["n"]), who.actor)
    return json_answer({"done": "takedown_ended"})


async def get_tokens(request: Request) -> Answer:
    """GET /api/admin/tokens."""
    async with asking(request, Scope.ADMIN) as (connection, _):
        names = await _names(connection)
        tokens = await list_tokens(connection, None)
    return json_answer({"tokens": [asdict(each) | {"instance": names.get(each.instance or 0)} for each in tokens]})


async def post_token(request: Request) -> Answer:
    """POST /api/admin/tokens: the answer is the only place where its secret is."""
    async with asking(request, Scope.ADMIN) as (connection, who):
        members = members_of(request, "scope", "instance", "label", "expires_days")
        scope = members.get("scope")
        if not isinstance(scope, str) or scope not in list(Scope):
            raise BadRequest("scope", scope, f"is none of {', '.join(Scope)}")
        number = None if scope == Scope.ADMIN else await _instance(connection, who, text_in(members, "instance"))
        days = number_in(members, "expires_days", _DAYS_MAX)
        lasts = None if days is None else timedelta(days=days)
        label = text_in(members, "label", most=200)
        secret = await make_token(connection, Scope(scope), number, who.actor, label=label, lasts=lasts)
    return json_answer({"secret": secret}, status=201)


async def post_token_revoke(request: Request) -> Answer:
    """POST /api/admin/tokens/{n}/revoke."""
    number = row_number(request.path_params["n"])
    async with asking(request, Scope.ADMIN) as (connection, who):
        if not await take_token_back(connection, number, who.actor):
            raise NotFound(f"there is no token {number} that could be revoked")
    return json_answer({"done": "revoked"})


async def get_links(request: Request) -> Answer:
    """GET /api/admin/links."""
    async with asking(request, Scope.ADMIN) as (connection, _):
        names = await _names(connection)
        links = await list_links(connection)
    return json_answer({"links": [asdict(each) | {"instance": names.get(each.instance or 0)} for each in links]})


async def post_link(request: Request) -> Answer:
    """POST /api/admin/links: for the operator of an instance, or without one for an administrator."""
    catalog = catalog_of(request)
    async with asking(request, Scope.ADMIN) as (connection, who):
        members = members_of(request, "instance", "label", "hours")
        name = text_in(members, "instance")
        number = await _instance(connection, who, name) if name else None
        hours = number_in(members, "hours", _HOURS_MAX) or catalog.settings.link_hours
        label = text_in(members, "label", most=200)
        made = await make_link(connection, number, who.actor, lasts=timedelta(hours=hours), label=label)
    address = made.address(catalog.writer(host_of(request)).base.removesuffix("/api"))
    return json_answer({"n": made.n, "address": address, "expires_at": made.expires_at}, status=201)


async def post_link_revoke(request: Request) -> Answer:
    """POST /api/admin/links/{n}/revoke."""
    number = row_number(request.path_params["n"])
    async with asking(request, Scope.ADMIN) as (connection, who):
        if not await revoke_link(connection, number, who.actor):
            raise NotFound(f"there is no link {number} that could be revoked")
    return json_answer({"done": "revoked"})


async def get_events(request: Request) -> Answer:
    """GET /api/admin/events."""
    most = query_limit(request, catalog_of(request).settings.operator_rows)
    before, kind = query_number(request, "before"), request.query_params.get("kind", "")
    if kind and kind not in list(Kind):
        raise BadRequest("kind", kind, "is no kind of event")
    async with asking(request, Scope.ADMIN) as (connection, _):
        rows = await connection.fetch(query("events_for_people"), None, before, kind, most)
    return json_answer({"events": [dict(row) | {"details": orjson.loads(row["details"])} for row in rows]})


async def _instance(connection: Connection, who: Who, name: str) -> int:
    number: int = (await who.instance_named(connection, name))["n"]
    return number


async def _names(connection: Connection) -> dict[int, str]:
    return {row["n"]: row["name"] for row in await connection.fetch(query("instance_names"))}
