"""Registrations: an instance asks to join, its operator proves to run it, and everybody who knows its address sees how
far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from starlette.requests import Request
from yarl import URL

from catalog_api.edge.forwarded import host_of
from catalog_api.edge.responses import Answer, BadRequest, NotFound, json_answer
from catalog_api.query.params import as_uuid
from catalog_api.routes.checks import hasty, links, must_be_open, read_members, too_often
from catalog_api.state import Catalog, catalog_of
from federation.errors import CheckRefused, RegistrationRefused
from federation.registrations import (
    PROOF_NAME,
    PROOF_PATH,
    WISHED,
    Registration,
    Wish,
    ask_proof,
    read_registration,
    register,
)

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
    """GET /api/registrations/{id}."""
    catalog = catalog_of(request)
    found = await find_registration(catalog, request.path_params["id"])
    return json_answer(describe(found, catalog.writer(host_of(request)).base), cache=_NO_STORE)


async def post_check(request: Request) -> Answer:
    """POST /api/registrations/{id}/check: check it anew; once its first check is passed, look for the proof."""
    catalog = catalog_of(request)
    found = await find_registration(catalog, request.path_params["id"])
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


async def find_registration(catalog: Catalog, identifier: str) -> Registration:
    """A registration by its id; NotFound when there is none."""
    known = as_uuid(identifier)
    if known is not None:
        async with catalog.operators.use() as connection:
            found = await read_registration(connection, UUID(known))
        if found is not None:
            return found
    raise NotFound(f"there is no registration {identifier[:60]!r}")


def describe(found: Registration, base: str) -> dict[str, Any]:
    """A registration as whoever knows its address sees it: without its contact, and without the token."""
    href = f"{base}/registrations/{found.id}"
    shown = [{"rel": "self", "type": "application/json", "href": href}]
    if found.check is not None:
        check = f"{base}/instances/checks/{found.check}"
        shown += [{"rel": "check", "type": "application/json", "href": check}, links(check)[1]]
    return {
        "id": str(found.id),
        "state": found.state.value,
        "state_reason": found.state_reason or None,
        "url": found.url,
        "name": found.name,
        "blurring": found.blurring or None,
        "cadence_s": found.cadence_s,
        "proof": None if not found.state.is_open else proof_of(found),
        "proved_at": found.proved_at,
        "proved_by": found.proved_by or None,
        "check_outcome": found.check_outcome or None,
        "created_at": found.created_at,
        "changed_at": found.changed_at,
        "links": shown,
    }


def proof_of(found: Registration) -> Mapping[str, str]:
    """What is to be published, and where it can be."""
    host = urlsplit(found.url).hostname or ""
    return {
        "text": found.proof,
        "file": str(URL(found.url).origin().with_path(PROOF_PATH)),
        "dns_name": f"{PROOF_NAME}{host}",
        "description": "as a word of the description in /api/configuration",
    }


def in_fields(error: RegistrationRefused) -> Exception:
    """A field that cannot be used is the client's mistake; everything else is a conflict."""
    if not error.field or error.field not in WISHED:
        return error
    return BadRequest(error.field, error.value, str(error).removeprefix(f"{error.field}: "))
