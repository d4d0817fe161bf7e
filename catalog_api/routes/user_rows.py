"""The sequences of one contributor as CSV, with the columns that instances give them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from starlette.requests import Request

from catalog_api.answers.documents import open_item
from catalog_api.answers.rows import cell_of
from catalog_api.edge.responses import Answer, BadRequest
from catalog_api.search.listing import ListParams, list_sequences
from catalog_api.state import Catalog
from federation.database import Row
from federation.payload import Known, restore

#: As an instance has them, and two at the end: whose licence and which instance.
COLUMNS = (
    "id", "status", "name", "created", "updated", "capture_date", "minimum_capture_time", "maximum_capture_time",
    "min_x", "min_y", "max_x", "max_y", "nb_pictures", "length_km", "computed_h_pixel_density", "computed_gps_accuracy",
    "license", "instance",
)  # fmt: skip
CSV = b"text/csv; charset=utf-8; header=present"


def wants_rows(request: Request) -> bool:
    """Whether CSV is asked for, by the parameter or else by the header."""
    form = request.query_params.get("format")
    if form in (None, ""):
        return request.headers.get("accept", "").split(";")[0].split(",")[0].strip() == "text/csv"
    if form not in ("json", "csv"):
        raise BadRequest("format", form, "is neither json nor csv")
    return form == "csv"


async def answer_rows(catalog: Catalog, params: ListParams) -> Answer:
    """All sequences these parameters match, whatever their limit, in the order of the list."""
    headers = [(b"content-disposition", b'attachment; filename="sequences.csv"'), (b"vary", b"accept")]
    whole = replace(params, limit=catalog.settings.collections_limit_max, token=None, count=False)
    validator = await catalog.validator()
    return Answer(chunks=_lines(catalog, whole), media_type=CSV, headers=headers, validator=validator)


async def _lines(catalog: Catalog, params: ListParams) -> AsyncIterator[bytes]:
    yield ",".join(COLUMNS).encode() + b"\r\n"
    token: str | None = None
    while True:
        page = await list_sequences(catalog.index, replace(params, token=token))
        await catalog.registry.prepare(page.rows)
        text = io.StringIO()
        writer = csv.writer(text)
        for row in page.rows:
            said = row_of(catalog, row)
            writer.writerow([cell_of(said.get(column)) for column in COLUMNS])
        yield text.getvalue().encode()
        token = page.turns.get("next")
        if token is None:
            return


def row_of(catalog: Catalog, row: Row) -> dict[str, Any]:
    """The columns of a sequence that have a value."""
    text = catalog.registry.unpacker.unpack(row["dictionary"], row["payload"])
    origin = open_item(restore(text, Known(str(row["id"])))[0])
    summaries = origin.get("summaries")
    densities = summaries.get("panoramax:horizontal_pixel_density") if isinstance(summaries, dict) else None
    first, last = row["datetime_min"], row["datetime_max"]
    return {
        "id": str(row["id"]),
        "status": "ready",
        "name": row["title"],
        "created": _time(row["created"]),
        "updated": _time(row["updated"]),
        "capture_date": first and first.date().isoformat(),
        "minimum_capture_time": _time(first),
        "maximum_capture_time": _time(last),
        **dict(zip(("min_x", "min_y", "max_x", "max_y"), row["bbox"] or (), strict=False)),
        "nb_pictures": row["pictures"],
        "length_km": round(row["length_m"] / 1000, 3),
        "computed_h_pixel_density": _number(densities[0]) if isinstance(densities, list) and densities else None,
        "computed_gps_accuracy": _number(origin.get("quality:horizontal_accuracy")),
        "license": _text(origin.get("license")),
        "instance": catalog.registry.instances[row["instance"]].name,
    }


def _time(when: datetime | None) -> str | None:
    return None if when is None else when.isoformat(sep=" ")


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
