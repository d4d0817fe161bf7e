"""The administrators' pages: instances, registrations, takedowns, who is let in, and the log of who did what."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import orjson

from catalog_api.access.asked import BIGINT_MAX, row_number, text_in, uuid_in
from catalog_api.edge.responses import Answer, BadRequest, NotFound
from catalog_api.web.desk import Desk, admin_desk
from catalog_api.web.operator_page import show_link
from catalog_api.web.policy import asset_sources
from catalog_api.web.samples import Seen, seen_by
from federation.events import Kind
from federation.links import list_links, revoke_link
from federation.queries import query
from federation.registrations import approve, list_registrations, refuse
from federation.takedowns import Kind as TakedownKind
from federation.takedowns import end_takedown, list_takedowns, take_down
from federation.tokens import Scope, list_tokens, make_token, take_token_back

_KINDS: tuple[TakedownKind, ...] = ("picture", "sequence")


@admin_desk
async def get_admin(at: Desk) -> Answer:
    """GET /admin."""
    rows = await at.connection.fetch(query("instances_to_act_on"), None)
    waiting = await list_registrations(at.connection, only_open=True)
    return at.answer("admin.html", rows=rows, waiting=len(waiting))


@admin_desk
async def get_registrations(at: Desk) -> Answer:
    """GET /admin/registrations."""
    found = await list_registrations(at.connection, most=at.catalog.settings.operator_rows)
    seen = await seen_by(at.connection, [each.check for each in found if each.check and each.state.is_open])
    return at.answer("admin_registrations.html", assets=_hosts(seen.values()), rows=found, seen=seen)


def _hosts(seen: Iterable[Seen]) -> list[str]:
    return asset_sources(sample.host for each in seen for sample in each.samples)


@admin_desk
async def post_registration(at: Desk) -> Answer:
    """POST /admin/registrations/{n}/{act}: approve or refuse."""
    number, act = row_number(at.parameters["n"]), at.parameters["act"]
    if act == "approve":
        await approve(at.connection, number, at.who.actor)
        return at.done("/admin/registrations", "approved")
    if act == "refuse":
        await refuse(at.connection, number, text_in(at.fields, "reason", needed=True), at.who.actor)
        return at.done("/admin/registrations", "refused")
    raise NotFound(f"there is nothing to do that is named {act[:60]!r}")


@admin_desk
async def get_takedowns(at: Desk) -> Answer:
    """GET /admin/takedowns."""
    return at.answer("admin_takedowns.html", rows=await list_takedowns(at.connection), kinds=_KINDS)


@admin_desk
async def post_takedowns(at: Desk) -> Answer:
    """POST /admin/takedowns: hide a picture or a sequence, every copy of it."""
    kind = next((each for each in _KINDS if each == at.fields.get("kind")), None)
    if kind is None:
        raise BadRequest("kind", at.fields.get("kind", ""), f"is none of {', '.join(_KINDS)}")
    await take_down(
        at.connection, kind, uuid_in(at.fields, "id"), text_in(at.fields, "reason", needed=True), at.who.actor
    )
    return at.done("/admin/takedowns", "taken_down")


@admin_desk
async def post_takedown_end(at: Desk) -> Answer:
    """POST /admin/takedowns/{n}/end."""
    await end_takedown(at.connection, row_number(at.parameters["n"]), at.who.actor)
    return at.done("/admin/takedowns", "takedown_ended")


@admin_desk
async def get_access(at: Desk) -> Answer:
    """GET /admin/access: tokens and links, never a secret."""
    names = {row["n"]: row["name"] for row in await at.connection.fetch(query("instance_names"))}
    return at.answer(
        "admin_access.html", tokens=await list_tokens(at.connection, None), links=await list_links(at.connection),
        names=names, now=datetime.now(UTC), scopes=list(Scope),
    )  # fmt: skip


@admin_desk
async def post_token(at: Desk) -> Answer:
    """POST /admin/access/tokens: make one, and show it once."""
    scope, name = at.fields.get("scope", ""), at.fields.get("instance", "").strip()
    if scope not in list(Scope):
        raise BadRequest("scope", scope, f"is none of {', '.join(Scope)}")
    number = None
    if scope != Scope.ADMIN:
        number = (await at.who.instance_named(at.connection, name))["n"]
    label = text_in(at.fields, "label", most=200)
    secret = await make_token(at.connection, Scope(scope), number, at.who.actor, label=label)
    return at.answer("token.html", secret=secret)


@admin_desk
async def post_link(at: Desk) -> Answer:
    """POST /admin/access/links: a link for another administrator, shown once."""
    return await show_link(at, None, text_in(at.fields, "label", most=200), "/admin/access")


@admin_desk
async def post_revoke(at: Desk) -> Answer:
    """POST /admin/access/{kind}/{n}/revoke: of a token or a link."""
    kind, number = at.parameters["kind"], row_number(at.parameters["n"])
    take_back = {"tokens": take_token_back, "links": revoke_link}.get(kind)
    if take_back is None or not await take_back(at.connection, number, at.who.actor):
        raise NotFound(f"there is nothing of this number that could be revoked: {number}")
    return at.done("/admin/access", "revoked")


@admin_desk
async def get_log(at: Desk) -> Answer:
    """GET /admin/log: the newest first, of one kind or before an entry where that is asked for."""
    asked = at.made.request.query_params
    kind, before = asked.get("kind", ""), asked.get("before", "")
    if kind and kind not in list(Kind):
        raise BadRequest("kind", kind, "is no kind of event")
    first = row_number(before, BIGINT_MAX) if before else None
    most = at.catalog.settings.operator_rows
    rows = await at.connection.fetch(query("events_for_people"), None, first, kind, most + 1)
    events = [dict(row) | {"details": orjson.loads(row["details"])} for row in rows[:most]]
    older = rows[most - 1]["n"] if len(rows) > most else None
    return at.answer("admin_log.html", events=events, older=older, kind=kind, kinds=sorted(Kind))
