"""The operations of the federation's health and of visits, described."""

from __future__ import annotations

from catalog_api.openapi.operation import Operation, Response
from catalog_api.openapi.parameters import Parameter

JSON = "application/json"
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}

_TABLE = Parameter(
    name="table", description="Which numbers", schema={"type": "string", "enum": ["days", "months", "freshness"]},
    where="path", required=True,
)  # fmt: skip
_RUN = Parameter(name="n", description="Number of a visit", schema=_NUMBER, where="path", required=True, example=1)
_OF = Parameter(name="instance", description="Of this one only, by name or stable id", schema=_TEXT, example="north")
_OF_EACH = Parameter(
    name="instance", description="Of this one only, or `*`: a row for each; without it all are summed", schema=_TEXT,
    example="*",
)  # fmt: skip
_DAYS = Parameter(name="days", description="How many days back", schema=_NUMBER, most="days_kept_days")
_FORMAT = Parameter(name="format", description="As what", schema={"type": "string", "enum": ["json", "csv"]})
_LIMIT = Parameter(
    name="limit", description="Most on a page; more than the maximum counts as the maximum",
    schema={**_NUMBER, "maximum": 500, "default": 50},
)  # fmt: skip
_BEFORE = Parameter(name="before", description="Visits before this number", schema=_NUMBER, example=9)


def _answer(description: str, *content: tuple[str, str]) -> tuple[tuple[int, Response], ...]:
    return ((200, Response(description=description, content=content)),)


#: By path, then by method.
HEALTH: dict[str, dict[str, Operation]] = {
    "/api/health": {
        "GET": Operation(
            summary="How every instance is", tag="instances", answers=_answer("Their health", (JSON, "Health"))
        )
    },
    "/api/health/{table}": {
        "GET": Operation(
            summary="Numbers behind the charts", tag="instances", takes=(_TABLE, _OF_EACH, _DAYS, _FORMAT),
            answers=_answer("A table", (JSON, "Table"), ("text/csv", "")), errors=(400, 404),
        )
    },
    "/api/runs": {
        "GET": Operation(
            summary="Visits under way, or the past ones of an instance", tag="instances",
            takes=(_OF, _LIMIT, _BEFORE), answers=_answer("Visits", (JSON, "Runs")), errors=(400, 404),
        )
    },
    "/api/runs/events": {
        "GET": Operation(
            summary="Visits under way and states of instances, whenever they change", tag="following",
            answers=_answer("Events, for ever", ("text/event-stream", "")),
        )
    },
    "/api/runs/{n}": {
        "GET": Operation(
            summary="One visit", tag="instances", takes=(_RUN,), answers=_answer("A visit", (JSON, "Run")),
            errors=(400, 404),
        )
    },
}  # fmt: skip
