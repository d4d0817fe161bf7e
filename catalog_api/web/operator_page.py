"""The page of an instance's operator: how the harvest goes, what was not accepted, and what can be done about it."""

from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

from catalog_api.access.acting import Acting
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer
from catalog_api.web.desk import Desk, admin_desk, desk
from federation.database import Row
from federation.links import MadeLink, make_link
from federation.politeness import Politeness
from federation.queries import query


@desk
async def get_operator(at: Desk) -> Answer:
    """GET /operator: on to the page of the instance, or to the administrators' list."""
    if at.who.instance is None:
        return at.done("/admin")
    names = {row["n"]: row["name"] for row in await at.connection.fetch(query("instance_names"))}
    return at.done(_base(names[at.who.instance]))


@desk
async def get_instance(at: Desk) -> Answer:
    """GET /operator/{name}."""
    one, most = await _one(at), at.catalog.settings.operator_rows
    held = await at.connection.fetch(query("quarantine_of_instance"), one["n"], most)
    return at.answer(
        "operator.html", one=one, base=_base(one["name"]), by_file=one["source"] == "file",
        chosen=Politeness.of_row(one),
        runs=await at.connection.fetch(query("runs_of_instance"), one["n"], None, most),
        errors=await at.connection.fetch(query("errors_of_instance"), one["n"], most),
        quarantine=[dict(row) | {"body": text_of(row["body"])} for row in held],
    )  # fmt: skip


@desk
async def get_leave(at: Desk) -> Answer:
    """GET /operator/{name}/leave: the second question before an instance leaves."""
    one = await _one(at)
    return at.answer("leave.html", one=one, base=_base(one["name"]), wrong=False)


@desk
async def post_leave(at: Desk) -> Answer:
    """POST /operator/{name}/leave: only with the instance's name written out; else it is asked again."""
    one = await _one(at)
    if at.fields.get("name", "").strip() != one["name"]:
        return at.answer("leave.html", status=400, one=one, base=_base(one["name"]), wrong=True)
    return await _do(at, "leave")


@desk
async def post_act(at: Desk) -> Answer:
    """POST /operator/{name}/{act}."""
    return await _do(at, at.parameters["act"])


@admin_desk
async def post_link(at: Desk) -> Answer:
    """POST /operator/{name}/link: a link for its operator, shown once."""
    one = await _one(at)
    return await show_link(at, one["n"], one["name"], _base(one["name"]))


async def _do(at: Desk, act: str) -> Answer:
    one = await _one(at)
    acting = Acting(catalog=at.catalog, connection=at.connection, who=at.who, one=one, fields=at.fields)
    done = await acting.do(act)
    if done.registration is not None:
        return at.done(f"/registrations/{done.registration}")
    return at.done(_base(one["name"]), done.said)


async def _one(at: Desk) -> Row:
    return await at.who.instance_named(at.connection, at.parameters["name"])


def _base(name: str) -> str:
    return f"/operator/{quote(name, safe='')}"


def text_of(body: bytes | None) -> str:
    """The beginning of what an instance sent, for people.

    >>> text_of(b'{"a":1\\xff'), text_of(None)
    ('{"a":1\ufffd', '')
    """
    return "" if body is None else body.decode(errors="replace")


async def show_link(at: Desk, instance: int | None, label: str, back: str) -> Answer:
    """Make a link, and the page that shows it: the only one that ever does."""
    lasts = timedelta(hours=at.catalog.settings.link_hours)
    made: MadeLink = await make_link(at.connection, instance, at.who.actor, lasts=lasts, label=label)
    base = at.catalog.writer(host_of(at.made.request)).base.removesuffix("/api")
    until = f"{made.expires_at:%Y-%m-%d %H:%M} UTC"
    return at.answer("link.html", address=made.address(base), until=until, back=back)
