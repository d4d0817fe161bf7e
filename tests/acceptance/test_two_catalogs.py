"""Two catalogs of ours that harvest each other, and one instance: every picture once in each, and no loop."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from federation.database import Role, open_pool
from federation.settings import Settings, load_settings
from harvester.progress import Progress
from harvester.schedule import sync_file
from harvester.visit import Harvester
from panofed.cluster import Cluster
from panofed.demo.server import free_port
from tests.acceptance.federated import ServedCatalog, served
from tests.origin import Origin


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOfTwo(ServedCatalog):
    """A catalog, and who harvests for it."""

    harvester: Harvester

    async def visit(self) -> dict[str, Progress]:
        """One round, each visit of which ends well."""
        visits = await self.harvester.visit_all(lambda _: None)
        assert {visit.outcome for visit in visits} == {"done"}, [visit.last_error for visit in visits]
        return {visit.instance: visit for visit in visits}

    def pictures(self) -> dict[str, list[str]]:
        """Every picture it serves: its id, and the names that its `via` links give, the nearest first."""
        pages = self.pages("/search?limit=1000")
        return {
            item["id"]: [link["instance_name"] for link in item["links"] if link["rel"] == "via"]
            for page in pages
            for item in page["features"]
        }


@asynccontextmanager
async def empty_database(cluster: Cluster, template: str) -> AsyncIterator[str]:
    name = f"acceptance_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield cluster.dsn(name)
    finally:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await connection.close()


def settings_for(dsn: str, directory: Path, port: int, sources: dict[str, str]) -> Settings:
    """Of a catalog that is served at this port and harvests these sources: name to address."""
    directory.mkdir()
    ports = tuple(int(url.rpartition(":")[2].partition("/")[0]) for url in sources.values())
    entries = [f"  - {{id: {name}, name: {name}, url: '{url}', enabled: true}}" for name, url in sources.items()]
    (directory / "instances.yaml").write_text("\n".join(["instances:", *entries]), encoding="utf-8")
    return load_settings(
        data_dir=directory, instances_file=directory / "instances.yaml", database_url=dsn, port=port, workers=1,
        instance_requests_per_s=0, instance_rest_share=0, outbound_allow_loopback=True, outbound_allow_http=True,
        outbound_ports=ports, relist_period_h=1e-6,
    )  # fmt: skip


@asynccontextmanager
async def catalog(settings: Settings) -> AsyncIterator[OneOfTwo]:
    async with open_pool(settings.database_url, Role.WRITER, settings, size=4) as pool:
        await sync_file(pool, settings)
        with served(settings) as url:
            harvester = Harvester(dsn=settings.database_url, pool=pool, settings=settings)
            yield OneOfTwo(url=url, instances=(), harvester=harvester)


async def test_two_catalogs_that_harvest_each_other_never_loop(cluster: Cluster, template: str, tmp_path: Path) -> None:
    east_port, west_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(Origin())
        for n in range(4):
            origin.add_sequence(3, at=(2.3 + n / 50, 48.85))
        first, second = [await stack.enter_async_context(empty_database(cluster, template)) for _ in range(2)]
        sources = {"instance": origin.url, "west": f"http://127.0.0.1:{west_port}/api"}
        east = await stack.enter_async_context(catalog(settings_for(first, tmp_path / "east", east_port, sources)))
        sources = {"east": f"http://127.0.0.1:{east_port}/api"}
        west = await stack.enter_async_context(catalog(settings_for(second, tmp_path / "west", west_port, sources)))
        for _ in range(3):
            await east.visit()
            await west.visit()
        expected = origin.visible().keys()
        assert east.pictures() == {id: ["instance"] for id in expected}
        assert west.pictures() == {id: ["east", "instance"] for id in expected}
        visits = await east.visit()
        assert (visits["west"].pictures_skipped, visits["west"].pictures_seen) == (12, 0)

        # what goes at the instance goes everywhere, and nobody brings it back
        gone, *_ = origin.sequences.values()
        origin.hide_sequence(gone)
        for _ in range(3):
            await east.visit()
            await west.visit()
        assert east.pictures().keys() == west.pictures().keys() == origin.visible().keys()
        assert len(east.pictures()) == 9
