"""Endpoints of the federation's health: all instances at once, and the numbers behind the charts."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from starlette.requests import Request

from catalog_api.answers.health import federation_of, health_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound, json_answer
from catalog_api.index.figures import FRESHNESS_DAYS
from catalog_api.index.health import DAYS, worst_first
from catalog_api.index.health_tables import (
    Table,
    table_of_days,
    table_of_each_day,
    table_of_freshness,
    table_of_months,
)
from catalog_api.state import Catalog, catalog_of
from federation.database import Row
from federation.queries import query

CSV = b"text/csv; charset=utf-8"
#: In the place of a name: one row for each instance.
EVERY = "*"


async def get_health(request: Request) -> Answer:
    """GET /api/health."""
    catalog = catalog_of(request)
    found = worst_first(await catalog.health.read())
    running = await catalog.visits.running.get()
    instances = [{"id": each.row["id"], "name": each.row["name"]} | health_of(each) for each in found]
    return json_answer({"federation": federation_of(found, running), "instances": instances})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """Names by number of the instances that are meant; `together`: all of them as one."""

    names: dict[int, str]
    together: bool
    days: int | None


async def get_table(request: Request) -> Answer:
    """GET /api/health/{table}: `days`, `months` or `freshness`, as JSON or CSV."""
    catalog, name, asked = catalog_of(request), request.path_params["table"], request.query_params
    form = asked.get("format", "")
    if form not in ("", "json", "csv"):
        raise BadRequest("format", form, "is neither json nor csv")
    makers = {"days": _days, "months": _months, "freshness": _freshness}
    if name not in makers:
        raise NotFound(f"there is no table {name[:60]!r}: only {', '.join(makers)}")
    meant = await _read(catalog, asked.get("instance", ""), asked.get("days", ""))
    table = await makers[name](catalog, meant)
    if form == "csv":
        download = b'attachment; filename="%b.csv"' % name.encode()
        return Answer(body=write_csv(table), media_type=CSV, headers=[(b"content-disposition", download)])
    return json_answer({"columns": table.columns, "rows": table.rows})


async def _read(catalog: Catalog, instance: str, days: str) -> _Asked:
    most = catalog.settings.days_kept_days
    if days and not (days.isascii() and days.isdigit() and len(days) < 7 and 1 <= int(days) <= most):
        raise BadRequest("days", days, f"is not a whole number from 1 to {most}")
    found = [await catalog.health.one(instance)] if instance not in ("", EVERY) else await catalog.health.read()
    names = {each.row["n"]: each.row["name"] for each in found}
    return _Asked(names=names, together=instance == "", days=int(days) if days else None)


async def _days(catalog: Catalog, asked: _Asked) -> Table:
    only = next(iter(asked.names)) if len(asked.names) == 1 else None
    rows = await catalog.index.fetch(query("catalog_days"), asked.days or DAYS, only)
    if not asked.together:
        return table_of_each_day(rows, asked.names)
    by_instance: dict[int, list[Row]] = {}
    for row in rows:
        if row["instance"] in asked.names:
            by_instance.setdefault(row["instance"], []).append(row)
    return table_of_days(by_instance)


async def _months(catalog: Catalog, asked: _Asked) -> Table:
    return table_of_months(await catalog.health.months.get(), asked.names)


async def _freshness(catalog: Catalog, asked: _Asked) -> Table:
    rows = await catalog.index.fetch(query("catalog_freshness"), asked.days or FRESHNESS_DAYS)
    return table_of_freshness(rows, asked.names)


def write_csv(table: Table) -> bytes:
    """RFC 4180, with a line of names.

    >>> write_csv(Table(columns=("day", "pictures"), rows=[("2026-05-01", 3), ("2026-05-02", None)]))
    b'day,pictures\\r\\n2026-05-01,3\\r\\n2026-05-02,\\r\\n'
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue().encode()
