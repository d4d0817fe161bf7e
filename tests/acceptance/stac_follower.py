"""A catalog of one STAC server that is no Panoramax instance, and what is put there."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.database import Role, open_pool
from federation.settings import Settings, load_settings
from harvester.progress import Progress
from harvester.schedule import sync_file
from harvester.visit import Harvester
from panofed.demo.server import free_port
from tests.acceptance.federated import ServedCatalog, served
from tests.acceptance.pgstac import StacServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Follower(ServedCatalog):
    """A catalog of one STAC server."""

    harvester: Harvester

    async def visit(self, **kwargs: Any) -> Progress:
        """One harvest that ends well."""
        harvester = self.harvester if not kwargs else Harvester(
            dsn=self.harvester.dsn, pool=self.harvester.pool, settings=self.harvester.settings, **kwargs
        )  # fmt: skip
        (progress,) = await harvester.visit_all(lambda _: None)
        assert (progress.outcome, progress.last_error) == ("done", "")
        return progress


@asynccontextmanager
async def follower(
    dsn: str, source: StacServer, directory: Path, *, asset_hosts: Sequence[str] = ()
) -> AsyncIterator[Follower]:
    """It is served while the context lasts; `asset_hosts` are where else its pictures are."""
    settings = settings_for(dsn, source, directory)
    entry = {"id": "other", "name": "other", "url": source.url, "enabled": True, "asset_hosts": list(asset_hosts)}
    # JSON is YAML
    settings.instances_file.write_text(json.dumps({"instances": [entry]}), encoding="utf-8")
    async with open_pool(dsn, Role.WRITER, settings, size=4) as pool:
        await sync_file(pool, settings)
        with served(settings) as url:
            yield Follower(url=url, instances=(), harvester=Harvester(dsn=dsn, pool=pool, settings=settings))


def settings_for(dsn: str, source: StacServer, directory: Path) -> Settings:
    """No politeness, small pages, loopback."""
    port = int(source.url.rpartition(":")[2])
    return load_settings(
        data_dir=directory, instances_file=directory / "instances.yaml", database_url=dsn, port=free_port(), workers=1,
        instance_requests_per_s=0, instance_rest_share=0, page_pictures=4, outbound_allow_loopback=True,
        outbound_allow_http=True, outbound_ports=(port,),
    )  # fmt: skip


def add(source: StacServer, collection: str, pictures: int, at: tuple[float, float]) -> None:
    """A collection with text ids and items that know nothing of Panoramax."""
    source.send(
        "POST", "/collections",
        {
            "type": "Collection", "stac_version": "1.0.0", "id": collection, "title": collection, "description": "Walk",
            "license": "CC-BY-4.0", "links": [],
            "extent": {
                "spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2024-01-01T00:00:00Z", None]]}
            },
        },
    )  # fmt: skip
    for n in range(pictures):
        source.send("POST", f"/collections/{collection}/items", item(source, collection, n, at))


def item(source: StacServer, collection: str, n: int, at: tuple[float, float], **more: Any) -> dict[str, Any]:
    """One picture; its files are said to be at the server."""
    point = [at[0] + n / 2_000, at[1]]
    files = f"{source.url}/files/{collection}/{n}"
    return {
        "type": "Feature", "stac_version": "1.0.0", "stac_extensions": [], "id": f"{collection}.{n}",
        "collection": collection, "links": [], "bbox": [*point, *point],
        "geometry": {"type": "Point", "coordinates": point},
        "properties": {"datetime": f"2024-05-02T09:00:{n:02}Z", **more},
        "assets": {
            "photo": {"href": f"{files}.jpg", "type": "image/jpeg", "roles": ["data"]},
            "small": {"href": f"{files}-small.jpg", "type": "image/jpeg", "roles": ["thumbnail"]},
        },
    }  # fmt: skip
