"""A few pictures of an instance that wants to join, for who decides: whether faces and number plates are blurred."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from catalog_api.web.policy import asset_sources
from federation.database import Connection
from federation.queries import query

_MOST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture at the instance; `host` is what a policy names."""

    href: str
    host: str


async def samples_of(connection: Connection, checks: Iterable[UUID]) -> dict[UUID, list[Sample]]:
    """What checks saw, by check; those whose address a page must not name are left out."""
    rows = await connection.fetch(query("samples_of_checks"), list(checks))
    return {row["id"]: _samples(orjson.loads(row["findings"])) for row in rows}


def _samples(findings: object) -> list[Sample]:
    """From the findings of the step that read pictures.

    >>> found = [{"code": "pictures", "values": {"samples": "https://a.example/1.jpg javascript:1 https://b; x/2.jpg"}}]
    >>> _samples(found)
    [Sample(href='https://a.example/1.jpg', host='a.example')]
    """
    found: list[Sample] = []
    for finding in findings if isinstance(findings, list) else []:
        for href in str(finding.get("values", {}).get("samples", "")).split()[:_MOST]:
            try:
                parts = urlsplit(href)
            except ValueError:
                continue
            if parts.scheme in ("http", "https") and asset_sources([parts.netloc.lower()]):
                found.append(Sample(href=href, host=parts.netloc.lower()))
    return found
