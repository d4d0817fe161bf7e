"""A real STAC API that is no Panoramax instance: harvested, served, opened, changed and deleted there, gone here."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pystac_client
import pytest

from panofed.cluster import Cluster
from tests.acceptance.federated import ServedCatalog
from tests.acceptance.pgstac import StacServer, stac_server
from tests.acceptance.stac_follower import add, follower, item
from tests.integration.conftest import database

__all__ = ["database"]


@pytest.fixture(scope="module")
def source(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    """An empty server."""
    cache = Path(os.environ.get("PANOFED_TEST_CACHE") or Path.home() / ".cache/panofed-tests").absolute()
    with stac_server(cluster, cache, tmp_path_factory.mktemp("stac")) as server:
        yield server


async def test_a_stac_server_is_harvested_served_and_followed_to_its_deletions(
    source: StacServer, database: str, tmp_path: Path
) -> None:
    add(source, "street_A", 9, (2.35, 48.85))
    add(source, "street_B", 3, (2.45, 48.86))
    async with follower(database, source, tmp_path) as catalog:
        await catalog.visit()
        kept = await catalog.harvester.pool.fetchval("SELECT capabilities FROM instances")
        assert '"kind": "stac"' in kept
        assert '"listing": "links"' in kept

        # served over our API, as any STAC client reads it
        client = pystac_client.Client.open(f"{catalog.url}/")
        found = {each.id: each for each in client.search(bbox=[2.3, 48.8, 2.5, 48.9], max_items=100).items()}
        assert len(found) == 12
        assert {UUID(id).version for id in found} == {5}
        origins = {each.properties["panofed:origin_id"]: id for id, each in found.items()}
        assert origins.keys() == {f"street_A.{n}" for n in range(9)} | {f"street_B.{n}" for n in range(3)}
        titles = {each["title"]: each["id"] for each in catalog.get("/collections")["collections"]}
        assert titles.keys() == {"street_A", "street_B"}
        pages = list(catalog.pages(f"/collections/{titles['street_A']}/items?limit=4"))
        in_order = [each["properties"]["panofed:origin_id"] for page in pages for each in page["features"]]
        assert sorted(in_order) == [f"street_A.{n}" for n in range(9)]

        # its files are found by their roles
        one = origins["street_A.4"]
        item_here = catalog.get(f"/pictures/{one}")
        assert item_here["assets"]["photo"]["href"] == f"{source.url}/files/street_A/4.jpg"
        assert location(catalog, f"/pictures/{one}/hd.jpg") == f"{source.url}/files/street_A/4.jpg"
        assert location(catalog, f"/pictures/{one}/thumb.jpg") == f"{source.url}/files/street_A/4-small.jpg"

        # changed and deleted there
        source.send("DELETE", "/collections/street_A/items/street_A.4")
        source.send(
            "PUT", "/collections/street_A/items/street_A.5", item(source, "street_A", 5, (2.35, 48.85), title="new")
        )
        source.send("DELETE", "/collections/street_B")
        progress = await catalog.visit()
        assert progress.sequences_removed == 1, "a listing tells which collections are left"
        await catalog.visit(thorough=True)
        left = {each.properties["panofed:origin_id"]: each for each in client.search(max_items=100).items()}
        assert left.keys() == {f"street_A.{n}" for n in range(9) if n != 4}
        assert left["street_A.5"].properties["title"] == "new"
        assert [each["title"] for each in catalog.get("/collections")["collections"]] == ["street_A"]


class _Stays(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def location(catalog: ServedCatalog, path: str) -> str:
    """Where a redirect leads."""
    try:
        urllib.request.build_opener(_Stays).open(f"{catalog.url}{path}", timeout=10)
    except urllib.error.HTTPError as answer:
        with answer:
            assert answer.code == 302
            return str(answer.headers["Location"])
    raise AssertionError(f"{path} is no redirect")
