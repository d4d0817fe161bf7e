"""A few pictures of an instance that wants to join, for who decides: whether faces and number plates are blurred."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

import orjson

from catalog_api.web.policy import asset_sources
from federation.asset_hosts import hosts_found
from federation.database import Connection
from federation.queries import query

_MOST = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture at the instance; `host` is what a policy names."""

    href: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Pictures that a check saw, and the hosts besides the instance's own that an approval confirms."""

    samples: list[Sample]
    hosts: tuple[str, ...]


async def seen_by(connection: Connection, checks: Iterable[UUID]) -> dict[UUID, Seen]:
    """What checks saw, by check; pictures whose address a page must not name are left out."""
    findings: dict[UUID, list[object]] = {}
    for row in await connection.fetch(query("samples_of_checks"), list(checks)):
        findings.setdefault(row["id"], []).extend(orjson.loads(row["findings"]))
    return {check: Seen(samples=_samples(told), hosts=hosts_found(told)) for check, told in findings.items()}


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
