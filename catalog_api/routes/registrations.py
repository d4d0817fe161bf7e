"""Registrations: an instance asks to join, its operator proves to run it, and everybody who knows its address sees how
far it is."""

from __future__ import annotations

import orjson
from starlette.requests import Request

from catalog_api.answers.checks import hasty, links, must_be_open, too_often
from catalog_api.answers.registrations import describe, find_registration, in_fields
from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, json_answer
from catalog_api.routes.checks import read_members
from catalog_api.state import catalog_of
from federation.errors import CheckRefused, RegistrationRefused
from federation.registrations import WISHED, Wish, ask_proof, read_registration, register

_NO_STORE = b"no-store"


async def post_instance(request: Request) -> Answer:
    """POST /api/instances: the members of Wish. The answer holds the operator's token, which is not shown again."""
    catalog = catalog_of(request)
    must_be_open(catalog)
    members = await read_members(request)
    unknown = next((name for name in members if name not in WISHED), None)
    if unknown is not None:
        raise BadRequest(unknown[:60], members[unknown], f"is none of {', '.join(WISHED)}")
    try:
        wish = Wish.of(members, catalog.settings)
        refused = too_often(request)
        if refused is not None:
            return refused
        async with catalog.operators.use() as connection:
            asked = await register(connection, wish, catalog.settings)
            made = await read_registration(connection, asked.id)
    except CheckRefused as error:
        return hasty(error)
    except RegistrationRefused as error:
        raise in_fields(error) from error
    assert made is not None
    told = describe(made, catalog.writer(host_of(request)).base) | {"token": asked.token}
    location = [(b"location", told["links"][0]["href"].encode())]
    return Answer(body=orjson.dumps(told), status=201, cache=_NO_STORE, headers=location)


async def get_registration(request: Request) -> Answer:
    """GET /api/registrations/{registration}."""
    catalog = catalog_of(request)
    found = await find_registration(catalog, request.path_params["registration"])
    return json_answer(describe(found, catalog.writer(host_of(request)).base), cache=_NO_STORE)


async def post_check(request: Request) -> Answer:
    """POST /api/registrations/{registration}/check: look for its proof, or check it anew."""
    catalog = catalog_of(request)
    found = await find_registration(catalog, request.path_params["registration"])
    refused = too_often(request)
    if refused is not None:
        return refused
    try:
        async with catalog.operators.use() as connection:
            check = await ask_proof(connection, found.id, catalog.settings)
    except CheckRefused as error:
        return hasty(error)
    href = f"{catalog.writer(host_of(request)).base}/instances/checks/{check}"
    body = orjson.dumps({"id": str(check), "url": found.url, "links": links(href)})
    return Answer(body=body, status=202, cache=_NO_STORE, headers=[(b"location", href.encode())])
