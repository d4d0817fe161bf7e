"""The front page: what this catalog is and holds, for people."""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path
from string import Template

from starlette.requests import Request

from catalog_api.edge.responses import HTML, Answer
from catalog_api.index.figures import NOTHING
from catalog_api.index.registry import web_root
from catalog_api.query.params import ALWAYS
from catalog_api.search.walking import newest
from catalog_api.state import catalog_of
from federation.database import Row
from federation.queries import query

_LATEST = 6


async def get_home(request: Request) -> Answer:
    """GET /. Thumbnails come from their instances: only their addresses are known here."""
    catalog = catalog_of(request)
    totals = await catalog.totals()
    rows = await catalog.index.fetch(query("catalog_instances"), None)
    held = await catalog.figures.held.get()
    latest = await newest(catalog.index, ALWAYS, None, _LATEST)
    page = _template().substitute(
        title=escape(catalog.settings.catalog_title),
        description=escape(catalog.settings.catalog_description),
        pictures=f"{totals['pictures']:,}",
        sequences=f"{totals['sequences']:,}",
        instances=f"{totals['instances']:,}",
        latest="".join(map(_thumbnail, latest)) or "<p>None yet.</p>",
        rows="".join(_instance(row, held.get(row["n"], NOTHING).pictures) for row in rows)
        or "<tr><td>None is registered yet.</td></tr>",
    )
    return Answer(body=page.encode(), media_type=HTML)


@cache
def _template() -> Template:
    return Template(Path(__file__).with_name("home.html").read_text(encoding="utf-8"))


def _thumbnail(row: Row) -> str:
    day = f"{row['datetime']:%Y-%m-%d}"
    return (
        f'<a href="/api/pictures/{row["id"]}"><img src="/api/pictures/{row["id"]}/thumb.jpg" loading="lazy"'
        f' alt="Picture taken on {day}"><small>{day}</small></a>'
    )


def _instance(row: Row, pictures: int) -> str:
    name, address = escape(row["name"]), escape(web_root(row["url"]), quote=True)
    return f'<tr><td><a href="{address}">{name}</a></td><td>{pictures:,} pictures</td></tr>'
