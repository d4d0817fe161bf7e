"""The operations of operators and administrators, described; each needs a token."""

from __future__ import annotations

from catalog_api.openapi import parameters as p
from catalog_api.openapi.operation import Operation, Response
from catalog_api.openapi.parameters import Parameter

JSON = "application/json"
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}
_DONE = (200, Response(description="Done", content=((JSON, "Done"),)))
_WHO = (401, 403, 429)


def _path(name: str, description: str, schema: dict[str, object], example: object = None) -> Parameter:
    return Parameter(name=name, description=description, schema=schema, where="path", required=True, example=example)


_N = _path("n", "Its number in the list", _NUMBER)
_LIMIT = Parameter(
    name="limit", description="Most of them; more than the maximum counts as the maximum", schema=_NUMBER,
    most="operator_rows", usual="operator_rows",
)  # fmt: skip
_BEFORE = Parameter(name="before", description="Only those with a smaller number", schema=_NUMBER)
_KIND = Parameter(name="kind", description="Only of this kind", schema=_TEXT, example="paused")
_OPERATORS_ACT = _path(
    "act", "What to do: `pause` takes `reason`, `leave` the instance's `name`, `move` takes `url`",
    {"type": "string", "enum": ["pause", "resume", "harvest", "reconcile", "leave", "move"]},
)  # fmt: skip
_ADMINS_ACT = _path(
    "act", "What to do: `hosts` takes `asset_hosts`, all hosts besides its own that its pictures may lie on",
    {"type": "string", "enum": ["confirm-brake", "refuse-brake", "hosts"]},
)  # fmt: skip
_JUDGEMENT = _path("act", "What to do: `refuse` takes `reason`", {"type": "string", "enum": ["approve", "refuse"]})


def _get(summary: str, tag: str, schema: str, *takes: Parameter) -> Operation:
    answer = (200, Response(description=summary, content=((JSON, schema),)))
    found = (404,) if any(each.where == "path" for each in takes) else ()
    wrong = (400,) if any(each.where == "query" for each in takes) else ()
    return Operation(
        summary=summary, tag=tag, takes=takes, answers=(answer,), errors=(*wrong, *_WHO, *found), secured=True
    )


def _do(summary: str, tag: str, *takes: Parameter, body: str = "", made: str = "") -> Operation:
    done = (201, Response(description="Made", content=((JSON, made),))) if made else _DONE
    return Operation(
        summary=summary, tag=tag, takes=takes, body=body, answers=(done,), errors=(400, *_WHO, 404, 409, 413),
        secured=True,
    )  # fmt: skip


#: By path, then by method.
DESK: dict[str, dict[str, Operation]] = {
    "/api/operator/instances/{name}": {
        "GET": _get("How an instance is visited, and how that goes", "operators", "Own", p.NAME),
        "PATCH": _do("Choose how it is visited", "operators", p.NAME, body="Choices"),
    },
    "/api/operator/instances/{name}/runs": {
        "GET": _get("Its visits, the latest first", "operators", "Runs", p.NAME, _LIMIT, _BEFORE)
    },
    "/api/operator/instances/{name}/errors": {
        "GET": _get("Sequences that are tried again", "operators", "Retries", p.NAME, _LIMIT)
    },
    "/api/operator/instances/{name}/quarantine": {
        "GET": _get("Records that were not accepted", "operators", "Quarantine", p.NAME, _LIMIT)
    },
    "/api/operator/instances/{name}/{act}": {
        "POST": _do("Do something with it", "operators", p.NAME, _OPERATORS_ACT, body="Act")
    },
    "/api/admin/instances": {"GET": _get("Every instance as its operator sees it", "administration", "Owns")},
    "/api/admin/instances/{name}/{act}": {
        "POST": _do("Do with it what only an administrator may", "administration", p.NAME, _ADMINS_ACT, body="AdminAct")
    },
    "/api/admin/registrations": {"GET": _get("Who wants to join", "administration", "Registrations")},
    "/api/admin/registrations/{n}/{act}": {
        "POST": _do("Approve or refuse one", "administration", _N, _JUDGEMENT, body="Act")
    },
    "/api/admin/takedowns": {
        "GET": _get("What is taken down, and what was", "administration", "Takedowns"),
        "POST": _do("Take every copy of a picture or sequence down", "administration", body="Taking", made="Taken"),
    },
    "/api/admin/takedowns/{n}/end": {"POST": _do("End a takedown", "administration", _N)},
    "/api/admin/tokens": {
        "GET": _get("Tokens, without their secrets", "administration", "Tokens"),
        "POST": _do("Make a token", "administration", body="TokenAsked", made="Secret"),
    },
    "/api/admin/tokens/{n}/revoke": {"POST": _do("Take a token back", "administration", _N)},
    "/api/admin/links": {
        "GET": _get("Links that let somebody in once, without their secrets", "administration", "SignInLinks"),
        "POST": _do("Make a link", "administration", body="LinkAsked", made="MadeLink"),
    },
    "/api/admin/links/{n}/revoke": {"POST": _do("Take a link back", "administration", _N)},
    "/api/admin/events": {
        "GET": _get("What happened and who did it", "administration", "Events", _LIMIT, _BEFORE, _KIND)
    },
}  # fmt: skip
