"""Endpoints of operators: what the page of an instance shows and does, for programs with a token."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request

from catalog_api.access.acting import ACTS, ADMIN_ACTS, Acting
from catalog_api.access.asked import members_of, query_limit, query_number
from catalog_api.access.bearer import asking
from catalog_api.access.who import Who
from catalog_api.edge.responses import Answer, NotFound, json_answer
from catalog_api.state import catalog_of
from federation.database import Connection, Row
from federation.politeness import Politeness
from federation.queries import query
from federation.tokens import Scope

#: What an operator may choose, and what acts take.
_CHOICES = ("cadence_s", "requests_per_s", "concurrency", "quiet_hours", "contact")
_TAKES = ("reason", "name", "url")
_ADMIN_TAKES = (*_TAKES, "asset_hosts")


async def get_instance(request: Request) -> Answer:
    """GET /api/operator/instances/{name}."""
    async with asking(request, Scope.OPERATOR) as (connection, who):
        return json_answer(own(await _one(request, connection, who)))


async def patch_instance(request: Request) -> Answer:
    """PATCH /api/operator/instances/{name}: choose how it is visited; null leaves it to the catalog."""
    return await _act(request, Scope.OPERATOR, "choices", _CHOICES)


async def post_act(request: Request) -> Answer:
    """POST /api/operator/instances/{name}/{act}."""
    act = request.path_params["act"]
    if act not in ACTS or act == "choices":
        raise NotFound(f"there is nothing to do that is named {act[:60]!r}")
    return await _act(request, Scope.OPERATOR, act, _TAKES)


async def post_admin_act(request: Request) -> Answer:
    """POST /api/admin/instances/{name}/{act}."""
    act = request.path_params["act"]
    if act not in ADMIN_ACTS:
        raise NotFound(f"there is nothing to do that is named {act[:60]!r}")
    return await _act(request, Scope.ADMIN, act, _ADMIN_TAKES)


async def get_runs(request: Request) -> Answer:
    """GET /api/operator/instances/{name}/runs."""
    most = query_limit(request, catalog_of(request).settings.operator_rows)
    before = query_number(request, "before")
    async with asking(request, Scope.OPERATOR) as (connection, who):
        one = await _one(request, connection, who)
        rows = await connection.fetch(query("runs_of_instance"), one["n"], before, most)
    return json_answer({"runs": [dict(row) for row in rows]})


async def get_errors(request: Request) -> Answer:
    """GET /api/operator/instances/{name}/errors."""
    most = query_limit(request, catalog_of(request).settings.operator_rows)
    async with asking(request, Scope.OPERATOR) as (connection, who):
        one = await _one(request, connection, who)
        rows = await connection.fetch(query("errors_of_instance"), one["n"], most)
    return json_answer({"errors": [dict(row) for row in rows]})


async def get_quarantine(request: Request) -> Answer:
    """GET /api/operator/instances/{name}/quarantine."""
    most = query_limit(request, catalog_of(request).settings.operator_rows)
    async with asking(request, Scope.OPERATOR) as (connection, who):
        one = await _one(request, connection, who)
        rows = await connection.fetch(query("quarantine_of_instance"), one["n"], most)
    return json_answer({"quarantine": [dict(row) | {"body": body_text(row["body"])} for row in rows]})


async def _act(request: Request, scope: Scope, act: str, known: tuple[str, ...]) -> Answer:
    async with asking(request, scope) as (connection, who):
        one = await _one(request, connection, who)
        fields = members_of(request, *known)
        catalog = catalog_of(request)
        acting = Acting(catalog=catalog, connection=connection, who=who, one=one, fields=fields)
        done = await acting.do(act)
        more = {} if done.registration is None else {"registration": done.registration}
        return json_answer({"done": done.said} | more)


async def _one(request: Request, connection: Connection, who: Who) -> Row:
    return await who.instance_named(connection, request.path_params["name"])


def body_text(body: bytes | None) -> str:
    """The beginning of what an instance sent.

    >>> body_text(None), body_text(b"{")
    ('', '{')
    """
    return "" if body is None else body.decode(errors="replace")


def own(row: Row) -> dict[str, object]:
    """An instance as its operator sees it."""
    choices = Politeness.of_row(row)
    return {
        **{name: row[name] for name in ("name", "id", "url", "source", "state", "state_reason")},
        "choices": {name: getattr(choices, name) for name in _CHOICES},
        "editable": row["source"] != "file",
        "asset_hosts": list(row["asset_hosts"]),
        "nb_sequences": row["sequences"],
        "nb_pictures": row["pictures"],
        **{name: row[name] for name in ("retries", "quarantined", "to_recheck", "failures", "last_error")},
        "last_attempt": _text(row["last_attempt_at"]),
        "last_success": _text(row["last_success_at"]),
        "last_change": _text(row["last_change_at"]),
        "next_visit": _text(row["next_visit_at"]) if row["state"] == "enabled" else None,
    }


def _text(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat()
