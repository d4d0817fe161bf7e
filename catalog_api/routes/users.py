"""Endpoints of contributors: all of them, by name, one of them, and the sequences of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson
from starlette.requests import Request

from catalog_api.answers.pages import Link
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound, json_answer
from catalog_api.index.registry import Registry
from catalog_api.openapi.conformance import CONFORMS_TO
from catalog_api.query.params import as_uuid, joined, read_limit, read_token
from catalog_api.query.tokens import fingerprint, write_token
from catalog_api.query.tokens import read_token as open_token
from catalog_api.routes.sequences import list_links, with_query
from catalog_api.routes.user_rows import answer_rows, wants_rows
from catalog_api.search.listing import ListPage, ListParams, list_params, list_sequences
from catalog_api.state import Catalog, catalog_of
from federation.database import Row
from federation.queries import query

_LIMIT_MAX = 1_000
_FOUND_MAX = 100
_NAME_LENGTH_MAX = 200
#: As an instance lists the sequences of a user.
_ORDER = "-created,+id"
_JSON = "application/json"


async def get_users(request: Request) -> Answer:
    """GET /api/users: by the time they were first seen."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
    limit = read_limit(asked.get("limit"), _LIMIT_MAX, _LIMIT_MAX)
    token, after = read_token(asked.get("token") or asked.get("page")), 0
    if token is not None:
        _, (after,) = open_token(token, fingerprint("users"), after=(int,))
    rows = await catalog.index.fetch(query("catalog_users"), after, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    await catalog.registry.know(row["instance"] for row in rows)
    base = catalog.writer(host_of(request)).base
    links: list[Link] = [
        {"rel": "self", "type": _JSON, "href": with_query(f"{base}/users", asked)},
        *_around(catalog, base),
        {"rel": "user-search", "type": _JSON, "href": f"{base}/users/search", "title": "Search users"},
    ]
    links += [_child(base, row) for row in rows]
    if more:
        following = write_token("after", fingerprint("users"), rows[-1]["n"])
        kept = {name: value for name, value in asked.items() if name != "page"} | {"token": following}
        links.append({"rel": "next", "type": _JSON, "href": with_query(f"{base}/users", kept)})
    return json_answer(
        {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "panofed:users",
            "title": "Contributors",
            "description": "Everybody whose pictures are in this catalog, one entry per account",
            "conformsTo": CONFORMS_TO,
            "users": [_user(base, catalog.registry, row) for row in rows],
            "links": links,
        }
    )


async def search_users(request: Request) -> Answer:
    """GET /api/users/search: the same name first, then those that begin with the text, then those that hold it."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
    text = asked.get("q", "").strip()
    if not text or len(text) > _NAME_LENGTH_MAX or "\x00" in text:
        raise BadRequest("q", asked.get("q"), f"is not a text of 1 to {_NAME_LENGTH_MAX} characters")
    limit = read_limit(asked.get("limit"), _FOUND_MAX, _FOUND_MAX)
    rows = await catalog.index.fetch(query("catalog_find_users"), text, limit)
    await catalog.registry.know(row["instance"] for row in rows)
    base = catalog.writer(host_of(request)).base
    return json_answer({"features": [_user(base, catalog.registry, row) for row in rows]})


async def get_user(request: Request) -> Answer:
    """GET /api/users/{id}: who it is, what there is of it, and where the same id is besides."""
    catalog = catalog_of(request)
    row, others = await _accounts(catalog, request)
    base = catalog.writer(host_of(request)).base
    figures = (await catalog.index.fetch(query("catalog_user_figures"), row["n"]))[0]
    user = _user(base, catalog.registry, row)
    here = f"{base}/users/{row['id']}"
    links: list[Link] = [
        {"rel": "self", "type": _JSON, "href": here},
        *_around(catalog, base),
        {"rel": "catalog", "type": _JSON, "href": f"{here}/catalog"},
        {"rel": "collection", "type": _JSON, "href": f"{here}/collection"},
        _child(base, row),
        orjson.loads(catalog.registry.instances[row["instance"]].via),
        *(_alternate(catalog.registry, each) for each in others),
    ]
    return json_answer(
        {"type": "Catalog", "stac_version": "1.0.0"}
        | user
        | {
            "title": f"{row['name']}'s sequences",
            "description": f"Sequences of {row['name']} on {user['instance_name']}",
            "nb_sequences": figures["sequences"],
            "nb_pictures": figures["pictures"],
            "links": links,
        }
    )


async def get_user_collection(request: Request) -> Answer:
    """GET /api/users/{id}/collection: a collection whose children are the sequences of one user; or these as CSV."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
    row, _ = await _accounts(catalog, request)
    if wants_rows(request):
        return await answer_rows(catalog, _list_of(catalog, asked, row))
    base = catalog.writer(host_of(request)).base
    href = f"{base}/users/{row['id']}/collection"
    figures = (await catalog.index.fetch(query("catalog_user_figures"), row["n"]))[0]
    page = await _sequences(catalog, asked, row)
    links = [*_around(catalog, base), *_turning(href, asked, page)]
    links += [_sequence_link(base, each, full=True) for each in page.rows]
    licenses = [each for each in figures["licenses"] if each]
    document = {
        "type": "Collection",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/stats/v0.2.0/schema.json",
            "https://stac-extensions.github.io/timestamps/v1.1.0/schema.json",
        ],
        "id": f"user:{row['id']}",
        "title": f"{row['name']}'s sequences",
        "description": f"List of all sequences of user {row['name']}",
        "keywords": ["pictures", f"{row['name']}'s sequences"],
        "semantics": [],
        "license": licenses[0] if len(licenses) == 1 else "various" if licenses else "proprietary",
        "providers": [{"name": row["name"], "roles": ["producer"], "id": str(row["id"])}],
        "created": figures["created"],
        "updated": figures["updated"],
        "extent": _extent(figures),
        "geovisio:length_km": round(figures["length_m"] / 1000, 3),
        "stats:items": {"count": figures["pictures"]},
        "stats:collections": {"count": figures["sequences"]},
        "links": links,
    }
    return json_answer({key: value for key, value in document.items() if value is not None})


async def get_user_catalog(request: Request) -> Answer:
    """GET /api/users/{id}/catalog: the same as a catalog."""
    catalog, asked = catalog_of(request), joined(request.query_params.multi_items())
    row, _ = await _accounts(catalog, request)
    base = catalog.writer(host_of(request)).base
    href = f"{base}/users/{row['id']}/catalog"
    page = await _sequences(catalog, asked, row)
    links = [*_around(catalog, base), *_turning(href, asked, page)]
    return json_answer(
        {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": f"user:{row['id']}",
            "title": f"{row['name']}'s sequences",
            "description": f"List of all sequences of user {row['name']}",
            "conformsTo": CONFORMS_TO,
            "links": links + [_sequence_link(base, each, full=False) for each in page.rows],
        }
    )


async def _accounts(catalog: Catalog, request: Request) -> tuple[Row, list[Row]]:
    """The account of the id in the path, and the others of the same id."""
    text = request.path_params["user"]
    found = as_uuid(text)
    rows = [] if found is None else await catalog.index.fetch(query("catalog_user"), found)
    if not rows:
        raise NotFound(f"there is no user {text[:60]!r}")
    await catalog.registry.know(row["instance"] for row in rows)
    return rows[0], rows[1:]


async def _sequences(catalog: Catalog, asked: Mapping[str, str], account: Row) -> ListPage:
    return await list_sequences(catalog.index, _list_of(catalog, asked, account))


def _list_of(catalog: Catalog, asked: Mapping[str, str], account: Row) -> ListParams:
    params = list_params(asked, catalog.settings.collections_limit_max, order=_ORDER)
    return replace(params, removed=False, account=account["n"])


def _user(base: str, registry: Registry, row: Row) -> dict[str, object]:
    here = f"{base}/users/{row['id']}"
    return {
        "id": str(row["id"]),
        "name": row["name"],
        # instances call it name in one answer and label in another
        "label": row["name"],
        "instance_name": registry.instances[row["instance"]].name,
        "links": [
            {"rel": "user-info", "type": _JSON, "href": here},
            {"rel": "collection", "type": _JSON, "href": f"{here}/collection"},
        ],
    }


def _child(base: str, row: Row) -> Link:
    href = f"{base}/users/{row['id']}/collection"
    return {"rel": "child", "type": _JSON, "href": href, "title": f'User "{row["name"]}" sequences'}


def _around(catalog: Catalog, base: str) -> list[Link]:
    title = catalog.settings.catalog_title
    return [{"rel": rel, "type": _JSON, "href": f"{base}/", "title": title} for rel in ("root", "parent")]


def _turning(href: str, asked: dict[str, str], page: ListPage) -> list[Link]:
    return [link for link in list_links(href, asked, page) if link["rel"] != "parent"]


def _alternate(registry: Registry, row: Row) -> Link:
    instance = registry.instances[row["instance"]]
    href = f"{instance.api}/users/{row['id']}"
    return {"rel": "alternate", "type": _JSON, "href": href, "instance_name": instance.name, "title": row["name"]}


def _sequence_link(base: str, row: Row, *, full: bool) -> Link:
    dates = [row["datetime_min"], row["datetime_max"]]
    link: Link = {
        "rel": "child",
        "type": _JSON,
        "href": f"{base}/collections/{row['id']}",
        "id": str(row["id"]),
        "title": row["title"],
        "stats:items": {"count": row["pictures"]},
        "extent": {"temporal": {"interval": [dates]}},
    }
    if full:
        link["extent"] = {"spatial": {"bbox": [row["bbox"]]}, "temporal": {"interval": [dates]}}
        link["geovisio:length_km"] = round(row["length_m"] / 1000, 3)
        link |= {name: row[name] for name in ("created", "updated") if row[name] is not None}
    return link


def _extent(figures: Row) -> dict[str, object]:
    bbox: Sequence[float | None] = figures["bbox"]
    known = None not in bbox
    return {
        "spatial": {"bbox": [bbox if known else [-180.0, -90.0, 180.0, 90.0]]},
        "temporal": {"interval": [[figures["datetime_min"], figures["datetime_max"]]]},
    }
