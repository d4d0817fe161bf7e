"""Everything an anonymous visitor of an instance sees, complete and exact: what a harvest must end up holding."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from panofed.demo.api import Api

FIRST_ID = "00000000-0000-0000-0000-000000000000"
PAGE = 1_000


def anonymous_collections(url: str) -> dict[str, dict[str, Any]]:
    """Every published sequence: id -> STAC collection.

    Asks for the ids after the last one seen: the `next` links of GeoVisio 2.15.1 leave some out.
    """
    return {row["id"]: row for row in _list_collections(url) if row.get("type") == "Collection"}


def anonymous_tombstones(url: str) -> set[str]:
    """The ids of the sequences the instance says are gone; deleted and hidden ones look the same."""
    rows = _list_collections(url, show_deleted="true")
    return {row["id"] for row in rows if row.get("geovisio:status") == "deleted"}


def anonymous_items(url: str) -> dict[str, dict[str, Any]]:
    """Every published picture: id -> STAC item, with `prev` and `next` links as the whole sequence gives them."""
    return {
        item["id"]: item for collection in anonymous_collections(url) for item in anonymous_items_of(url, collection)
    }


def anonymous_items_of(url: str, collection: str) -> list[dict[str, Any]]:
    """One sequence's published pictures in their order; a single request, so one consistent state."""
    features: list[dict[str, Any]] = Api(url=url).get(f"/collections/{collection}/items")["features"]
    return features


def _list_collections(url: str, **more: str) -> list[dict[str, Any]]:
    api, last, rows = Api(url=url), FIRST_ID, []
    while True:
        asked = urlencode({"limit": PAGE, "sortby": "+id", "filter": f"id > '{last}'", **more})
        page: list[dict[str, Any]] = api.get(f"/collections?{asked}")["collections"]
        rows += page
        if len(page) < PAGE:
            return rows
        last = page[-1]["id"]
