"""A picture of a STAC server that is no Panoramax instance, in the official viewer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser

from panofed.cluster import Cluster
from panofed.demo.geovisio import Instance
from tests.acceptance.pgstac import StacServer, stac_server
from tests.acceptance.stac_follower import add, follower, item
from tests.browser.conftest import ARTEFACTS
from tests.browser.visitor import visiting
from tests.integration.conftest import database

__all__ = ["database"]

LYON = (4.8357, 45.7640)


@pytest.fixture(scope="module")
def source(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StacServer]:
    """An empty stac-fastapi-pgstac."""
    cache = Path(os.environ.get("PANOFED_TEST_CACHE") or Path.home() / ".cache/panofed-tests").absolute()
    with stac_server(cluster, cache, tmp_path_factory.mktemp("stac")) as server:
        yield server


async def test_it_opens_and_is_gone_when_it_is_deleted_there(
    browser: Browser, source: StacServer, instances: tuple[Instance, Instance], database: str, tmp_path: Path
) -> None:
    """Its files are real ones, at a host that its entry names."""
    elsewhere = instances[0]
    theirs = elsewhere.api().get("/search?limit=100")["features"]
    shown = next(each["assets"] for each in theirs if "asset_templates" not in each)
    add(source, "promenade", 3, LYON)
    one = item(source, "promenade", 1, LYON)
    names = {"photo": ("hd", "data"), "web": ("sd", "visual"), "small": ("thumb", "thumbnail")}
    one["assets"] = {
        name: {"href": shown[key]["href"], "type": "image/jpeg", "roles": [role]} for name, (key, role) in names.items()
    }
    source.send("PUT", "/collections/promenade/items/promenade.1", one)
    host = urlsplit(elsewhere.url).netloc
    async with follower(database, source, tmp_path, asset_hosts=(host,)) as catalog:
        await catalog.visit()
        found = catalog.get("/search?limit=10")["features"]
        ids = {each["properties"]["panofed:origin_id"]: each["id"] for each in found}
        async with visiting(browser, catalog, also=(elsewhere.url, source.url)) as visitor:
            visitor.shots = ARTEFACTS / "other-server"
            await visitor.open(f"/?pic={ids['promenade.1']}&focus=pic")
            known = await visitor.see_picture(ids["promenade.1"])
            assert "other" in known["caption"] or known["sequence"]
            await visitor.shoot("open")
        source.send("DELETE", "/collections/promenade")
        await catalog.visit()
        assert catalog.get("/search?limit=10")["features"] == []
