"""The API's documentation as one page: made from the OpenAPI document, without scripts and without other hosts."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Any

from starlette.requests import Request

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import HTML, Answer
from catalog_api.openapi.document import describe, routes_of
from catalog_api.state import catalog_of

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2330; --soft: #5b6475; --line: #d9dee8; --accent: #0a4dad; --paper: #fff }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf2; --soft: #9aa4b8; --line: #2c3444; --accent: #8ab6ff; --paper: #12161f }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere }
h1 { font-size: 1.6rem } h2 { font-size: 1.1rem; margin-top: 2rem; text-transform: capitalize }
a { color: var(--accent) }
details { border-top: 1px solid var(--line); padding: .5rem 0 }
summary { cursor: pointer } summary small, dd { color: var(--soft) }
code { font-size: .95em } b { font-size: .8rem; margin-right: .4rem }
label { display: block; margin: .5rem 0 } label small { display: block; color: var(--soft) }
input, select, button { font: inherit; max-width: 100%; box-sizing: border-box } input { width: 100% }
dl { margin: .5rem 0 } dt { float: left; clear: left; width: 3.5rem; font-variant-numeric: tabular-nums }
dd { margin-left: 3.5rem }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = [(b"content-security-policy", _POLICY.encode()), (b"x-content-type-options", b"nosniff")]


async def get_page(request: Request) -> Answer:
    """GET /api/docs/swagger."""
    catalog = catalog_of(request)
    base = catalog.writer(host_of(request)).base.removesuffix("/api")
    document = describe(routes_of(request), catalog.settings, base)
    return Answer(body=write_page(document).encode(), media_type=HTML, headers=_HEADERS)


def write_page(document: dict[str, Any]) -> str:
    """The page of a document."""
    title, by_tag = escape(document["info"]["title"]), dict[str, list[str]]()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(path, method.upper(), operation))
    sections = "".join(f"<h2>{escape(tag)}</h2>{''.join(each)}" for tag, each in by_tag.items())
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}: API</title><style>{_STYLE}</style><main><h1>{title}: API</h1>"
        f"<p>{escape(document['info']['description'])}</p>"
        '<p>The same for programs: <a href="/api/docs/specs.json">OpenAPI 3.1</a>. '
        'The way in: <a href="/api">/api</a>.</p>'
        f"{sections}</main></html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    answers = "".join(
        f"<dt>{status}<dd>{escape(each['description'])}" for status, each in operation["responses"].items()
    )
    head = f"<b>{method}</b> <code>{escape(path)}</code> <small>{escape(operation['summary'])}</small>"
    return f"<details><summary>{head}</summary>{_try(path, method, operation)}<dl>{answers}</dl></details>"


def _try(path: str, method: str, operation: dict[str, Any]) -> str:
    """A form that asks, where an address is all it takes; else what goes into the path."""
    of_path = [each for each in operation["parameters"] if each["in"] == "path"]
    of_query = [each for each in operation["parameters"] if each["in"] == "query"]
    if of_path or method != "GET":
        return "".join(map(_described, of_path + of_query))
    fields = "".join(map(_field, of_query))
    return f'<form action="{escape(path, quote=True)}">{fields}<button>Try</button></form>'


def _described(parameter: dict[str, Any]) -> str:
    return f"<label><code>{escape(parameter['name'])}</code><small>{escape(parameter['description'])}</small></label>"


def _field(parameter: dict[str, Any]) -> str:
    name, schema = escape(parameter["name"], quote=True), parameter["schema"]
    if "enum" in schema:
        options = "".join(f"<option>{escape(str(each))}" for each in schema["enum"])
        control = f'<select name="{name}"><option value="">{options}</select>'
    else:
        hint = parameter.get("example", schema.get("default", ""))
        shown = ",".join(map(str, hint)) if isinstance(hint, list) else str(hint)
        control = f'<input name="{name}" placeholder="{escape(shown, quote=True)}">'
    return f"<label><code>{name}</code> {control}<small>{escape(parameter['description'])}</small></label>"
