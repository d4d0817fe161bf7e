"""Registrations as answers and pages show them to whoever knows their address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from yarl import URL

from catalog_api.answers.checks import links
from catalog_api.edge.responses import BadRequest, NotFound
from catalog_api.query.params import as_uuid
from catalog_api.state import Catalog
from federation.errors import RegistrationRefused
from federation.registrations import PROOF_NAME, PROOF_PATH, WISHED, Registration, read_registration


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
    named = ":" not in host and not host.replace(".", "").isdigit()
    return {
        "text": found.proof,
        "file": str(URL(found.url).origin().with_path(PROOF_PATH)),
        "dns_name": f"{PROOF_NAME}{host}" if named else "",
        "description": "as a word of the description in /api/configuration",
    }


def in_fields(error: RegistrationRefused) -> Exception:
    """A field that cannot be used is the client's mistake; everything else is a conflict."""
    if not error.field or error.field not in WISHED:
        return error
    return BadRequest(error.field, error.value, str(error).removeprefix(f"{error.field}: "))
