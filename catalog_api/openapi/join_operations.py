"""The operations of who wants an instance to join, described, with the schemas of what they send and are answered."""

from __future__ import annotations

from catalog_api.openapi.operation import Operation, Response
from catalog_api.openapi.parameters import Parameter
from catalog_api.openapi.schemas import _LINKS, _TEXT, _TIME, _UUID, Schema, _many, _maybe, _object, _ref
from federation.check_words import LANGUAGES
from federation.registrations import BLURRING, State

JSON = "application/json"
_CHECK = Parameter(name="check", description="Id of a check", schema=_UUID, where="path", required=True)
_OF = Parameter(name="registration", description="Id of a registration", schema=_UUID, where="path", required=True)
_LANGUAGE = Parameter(
    name="lang", description="Language of `title`, `seen` and `advice`", schema={"type": "string", "enum": [*LANGUAGES]}
)


def _answer(description: str, schema: str, status: int = 200) -> tuple[int, Response]:
    return status, Response(description=description, content=((JSON, schema),))


_EVENTS = (200, Response(description="Steps as they begin and end", content=(("text/event-stream", ""),)))

REGISTER = Operation(
    summary="Register an instance", tag="joining", body="Wish", errors=(400, 403, 409, 413, 429),
    answers=(_answer("It is registered; `token` is shown this once", "Registered", 201),),
)  # fmt: skip
JOIN = {
    "/api/instances/check": {
        "POST": Operation(
            summary="Check an instance", tag="joining", body="CheckAsked", errors=(400, 403, 413, 429),
            answers=(_answer("It is being checked, or was a short while ago", "CheckMade", 202),),
        )
    },
    "/api/instances/checks/{check}": {
        "GET": Operation(
            summary="A check and its steps", tag="joining", takes=(_CHECK, _LANGUAGE), errors=(400, 404),
            answers=(_answer("The check", "Check"),),
        )
    },
    "/api/instances/checks/{check}/events": {
        "GET": Operation(
            summary="A check as it goes on", tag="joining", takes=(_CHECK, _LANGUAGE), errors=(400, 404),
            answers=(_EVENTS,),
        )
    },
    "/api/registrations/{registration}": {
        "GET": Operation(
            summary="How far a registration is", tag="joining", takes=(_OF,), errors=(404,),
            answers=(_answer("The registration", "Registration"),),
        )
    },
    "/api/registrations/{registration}/check": {
        "POST": Operation(
            summary="Look for its proof, or check it anew", tag="joining", takes=(_OF,), errors=(404, 409, 429),
            answers=(_answer("It is being checked", "CheckMade", 202),),
        )
    },
}  # fmt: skip

_STEP_STATES: Schema = {"enum": ["running", "skipped", "ok", "warning", "failed"]}
_REGISTRATION: dict[str, Schema] = {
    "id": _UUID, "state": {"enum": [state.value for state in State]}, "state_reason": _maybe(_TEXT), "url": _TEXT,
    "name": _TEXT, "blurring": _maybe(_TEXT), "cadence_s": _maybe({"type": "number"}),
    "proof": _maybe(_object(text=_TEXT, file=_TEXT, dns_name=_TEXT, description=_TEXT)), "proved_at": _maybe(_TIME),
    "proved_by": _maybe(_TEXT), "check_outcome": _maybe(_TEXT), "created_at": _TIME, "changed_at": _TIME,
    "links": _LINKS,
}  # fmt: skip
JOIN_SCHEMAS: dict[str, Schema] = {
    "Wish": {
        "type": "object",
        "required": ["url", "name", "contact", "blurring"],
        "properties": {
            "url": _TEXT, "name": {"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$"},
            "contact": _TEXT, "blurring": {"enum": [*BLURRING]}, "cadence_s": {"type": ["number", "string", "null"]},
            "note": {"type": "string", "maxLength": 2_000},
        },
        "additionalProperties": False,
    },
    "CheckAsked": {"type": "object", "required": ["url"], "properties": {"url": _TEXT}},
    "CheckMade": _object(id=_UUID, url=_TEXT, links=_LINKS),
    "Check": _object(
        id=_UUID, kind={"enum": ["first", "full"]}, url=_TEXT, state={"enum": ["waiting", "running", "ended"]},
        outcome=_maybe({"enum": ["passed", "warned", "failed", "broken"]}), asked_at=_TIME, started_at=_maybe(_TIME),
        ended_at=_maybe(_TIME), no_worker={"type": "boolean"}, steps=_many(_ref("CheckStep")), links=_LINKS,
    ),
    "CheckStep": _object(
        number={"type": "integer"}, name=_TEXT, title=_TEXT, state=_STEP_STATES, findings=_many(_ref("Finding"))
    ),
    "Finding": _object(code=_TEXT, values={"type": "object"}, seen=_TEXT, advice=_maybe(_TEXT)),
    "Registration": _object(None, **_REGISTRATION),
    "Registered": _object(None, token=_TEXT, **_REGISTRATION),
}  # fmt: skip
