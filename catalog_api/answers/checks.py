"""Checks of an instance's API as answers and pages show them, and who may ask for one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from starlette.requests import Request

from catalog_api.edge.limits import client_key
from catalog_api.edge.responses import Answer, BadRequest, Forbidden, NotFound, error_answer
from catalog_api.query.params import as_uuid
from catalog_api.state import Catalog, catalog_of
from federation.check_words import CheckWords
from federation.checks import Check, Step, read_check
from federation.database import explained
from federation.errors import CheckRefused
from federation.instances_fields import clean_url
from federation.queries import query

#: A worker looks for checks every second: longer than this, none is there.
NO_WORKER_S = 6.0


async def find_check(catalog: Catalog, identifier: str) -> Check:
    """A check by its id; NotFound when there is none."""
    known = as_uuid(identifier)
    if known is not None:
        rows = await catalog.index.fetch(query("read_check"), UUID(known))
        if rows:
            return Check.of_row(rows[0])
        if catalog.settings.database_read_url:
            # what is read may be a replica, and this check too young for it
            async with catalog.operators.use() as connection, explained("reading a check"):
                found = await read_check(connection, UUID(known))
            if found is not None:
                return found
    raise NotFound(f"there is no check {identifier[:60]!r}: they are kept for {catalog.settings.checks_kept_days} days")


def describe(found: Check, words: CheckWords) -> dict[str, Any]:
    """A check as answers show it."""
    state = "ended" if found.ended_at else "running" if found.started_at else "waiting"
    return {
        "id": str(found.id),
        "kind": found.kind.value,
        "url": found.url,
        "state": state,
        "outcome": found.outcome or None,
        "asked_at": found.asked_at,
        "started_at": found.started_at,
        "ended_at": found.ended_at,
        "no_worker": found.waiting_s > NO_WORKER_S,
        "steps": [describe_step(step, words) for step in found.steps],
    }


def describe_step(step: Step, words: CheckWords) -> dict[str, Any]:
    """A step as answers show it."""
    findings = [
        {"code": each.code, "values": each.values, "seen": words.seen(each), "advice": words.advice(each) or None}
        for each in step.findings
    ]
    return {
        "number": step.number, "name": step.name, "title": words.title(step.name), "state": step.state.value,
        "findings": findings,
    }  # fmt: skip


def links(href: str) -> list[dict[str, str]]:
    """Where a check is shown and followed."""
    return [
        {"rel": "self", "type": "application/json", "href": href},
        {"rel": "events", "type": "text/event-stream", "href": f"{href}/events"},
    ]


def must_be_open(catalog: Catalog) -> None:
    """Forbidden where nobody can register."""
    if catalog.settings.registration == "off":
        raise Forbidden("registration is closed at this catalog (PANOFED_REGISTRATION)")


def too_often(request: Request) -> Answer | None:
    """The refusal of a client that lets too many instances be checked."""
    buckets = catalog_of(request).checks
    verdict = buckets.take(client_key(request.scope["client_address"]))
    return None if verdict.allowed else hasty(CheckRefused("too many checks were asked for", wait_s=verdict.reset_s))


def hasty(error: CheckRefused) -> Answer:
    """429 with when to come again."""
    wait = [(b"retry-after", b"%d" % error.wait_s)]
    return error_answer(429, f"{error}: come again in {error.wait_s} s", headers=wait)


def address_of(value: object) -> str:
    """The address of an instance as it is kept; BadRequest when it is none."""
    if not isinstance(value, str) or len(value) > 2_000:
        raise BadRequest("url", value, "is not the address of an API")
    try:
        return clean_url(value.strip())
    except ValueError as error:
        raise BadRequest("url", value, str(error)) from error
