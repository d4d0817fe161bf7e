"""JSON Schemas of what operators and administrators send and are answered."""

from __future__ import annotations

from catalog_api.openapi.schemas import _COUNT, _TEXT, _TIME, _UUID, Schema, _many, _maybe, _object, _ref

_CHOICES: dict[str, Schema] = {
    "cadence_s": _maybe({"type": "number"}),
    "requests_per_s": _maybe({"type": "number"}),
    "concurrency": _maybe({"type": "integer"}),
    "quiet_hours": _TEXT,
    "contact": _TEXT,
}
_SCOPE: Schema = {"enum": ["ping", "operator", "admin"]}
_LET_IN: dict[str, Schema] = {
    "n": _COUNT, "scope": _SCOPE, "instance": _maybe(_TEXT), "label": _TEXT, "created_at": _TIME,
    "revoked_at": _maybe(_TIME), "used_at": _maybe(_TIME),
}  # fmt: skip


def _sent(**members: Schema) -> Schema:
    return {"type": "object", "properties": members, "additionalProperties": False}


DESK_SCHEMAS: dict[str, Schema] = {
    "Done": _object(["done"], done=_TEXT, registration=_UUID),
    "Act": _sent(reason=_TEXT, name=_TEXT, url=_TEXT),
    "AdminAct": _sent(reason=_TEXT, name=_TEXT, url=_TEXT, asset_hosts=_many(_TEXT)),
    "Choices": _sent(**_CHOICES),
    "Own": _object(
        name=_TEXT, id=_TEXT, url=_TEXT, source=_TEXT, state=_TEXT, state_reason=_TEXT,
        choices=_object(None, **_CHOICES), editable={"type": "boolean"}, asset_hosts=_many(_TEXT),
        nb_sequences=_COUNT, nb_pictures=_COUNT,
        retries=_COUNT, quarantined=_COUNT, to_recheck=_COUNT, failures=_COUNT, last_error=_TEXT,
        last_attempt=_maybe(_TIME), last_success=_maybe(_TIME), last_change=_maybe(_TIME), next_visit=_maybe(_TIME),
    ),
    "Owns": _object(instances=_many(_ref("Own"))),
    "Runs": _object(runs=_many(_object(["n", "started_at", "outcome"], n=_COUNT, started_at=_TIME, outcome=_TEXT))),
    "Retries": _object(
        errors=_many(_object(sequence=_TEXT, attempts=_COUNT, since=_TIME, next_at=_TIME, error=_TEXT, url=_TEXT))
    ),
    "Quarantine": _object(
        quarantine=_many(_object(id=_TEXT, sequence=_TEXT, field=_TEXT, problem=_TEXT, at=_TIME, body=_TEXT))
    ),
    "Registrations": _object(
        registrations=_many(
            _object(
                n=_COUNT, id=_UUID, state=_TEXT, state_reason=_TEXT, url=_TEXT, name=_TEXT, contact=_TEXT,
                blurring=_TEXT, note=_TEXT, proved_at=_maybe(_TIME), check=_maybe(_UUID), check_outcome=_TEXT,
                created_at=_TIME,
            )
        )
    ),
    "Taking": _sent(kind={"enum": ["picture", "sequence"]}, id=_UUID, reason=_TEXT),
    "Taken": _object(n=_COUNT, is_new={"type": "boolean"}, pictures=_COUNT),
    "Takedowns": _object(
        takedowns=_many(
            _object(
                n=_COUNT, kind=_TEXT, id=_UUID, reason=_TEXT, actor=_TEXT, at=_TIME, ended_at=_maybe(_TIME),
                ended_by=_TEXT, copies=_many(_TEXT),
            )
        )
    ),
    "TokenAsked": _sent(scope=_SCOPE, instance=_TEXT, label=_TEXT, expires_days={"type": "number"}),
    "Secret": _object(secret=_TEXT),
    "Tokens": _object(tokens=_many(_object(None, **_LET_IN, expires_at=_maybe(_TIME)))),
    "LinkAsked": _sent(instance=_TEXT, label=_TEXT, hours={"type": "number"}),
    "MadeLink": _object(n=_COUNT, address=_TEXT, expires_at=_TIME),
    "SignInLinks": _object(links=_many(_object(None, **_LET_IN, expires_at=_TIME, made_by=_TEXT))),
    "Events": _object(
        events=_many(
            _object(
                n=_COUNT, at=_TIME, kind=_TEXT, instance=_maybe(_TEXT), subject=_TEXT, actor=_TEXT,
                public={"type": "boolean"}, details={"type": "object"},
            )
        )
    ),
}  # fmt: skip
