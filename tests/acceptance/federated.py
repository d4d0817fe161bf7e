"""A catalog for one test module: a fresh database, the harvester in this process, the server in another one."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from federation.database import Role, open_pool
from federation.settings import Settings, load_settings
from harvester.progress import Progress
from harvester.schedule import sync_file
from harvester.visit import Harvester
from panofed.cluster import Cluster
from panofed.demo.api import Api
from panofed.demo.geovisio import Instance
from panofed.demo.run import demo_settings, write_instances
from panofed.demo.server import free_port
from panofed.services import Part, Services, settings_environment


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedCatalog:
    """What follows `instances`, at the address `url` of its landing page, whoever harvests them."""

    url: str
    instances: Sequence[Instance]

    def get(self, path: str) -> Any:
        """The JSON answer of GET `path`."""
        return Api(url=self.url).get(path)

    def pages(self, path: str) -> Iterator[dict[str, Any]]:
        """This page and those its `next` links lead to."""
        while path:
            page = self.get(path)
            yield page
            hrefs = [link["href"] for link in page["links"] if link["rel"] == "next"]
            path = hrefs[0].removeprefix(self.url) if hrefs else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FederatedCatalog(ServedCatalog):
    """One that is harvested by the test itself."""

    harvester: Harvester

    async def visit(self, only: Instance | None = None) -> dict[str, Progress]:
        """One harvest of every instance, or of one; each must end well."""
        visits = await self.harvester.visit_all(lambda _: None, only=only.config.name if only else None)
        assert [(visit.instance, visit.outcome, visit.last_error) for visit in visits] == [
            (visit.instance, "done", "") for visit in visits
        ]
        return {visit.instance: visit for visit in visits}


@asynccontextmanager
async def federated(
    cluster: Cluster, template: str, instances: Sequence[Instance], directory: Path, **overrides: object
) -> AsyncIterator[FederatedCatalog]:
    """A catalog of these instances that has visited none of them yet; `overrides` of settings."""
    async with _database(cluster, template) as dsn:
        settings = catalog_settings(dsn, instances, directory).model_copy(update=overrides)
        write_instances(settings.instances_file, instances)
        async with open_pool(dsn, Role.WRITER, settings, size=4) as pool:
            await sync_file(pool, settings)
            with served(settings) as url:
                yield FederatedCatalog(
                    url=url, instances=instances, harvester=Harvester(dsn=dsn, pool=pool, settings=settings)
                )


def catalog_settings(dsn: str, instances: Sequence[Instance], directory: Path) -> Settings:
    """Those of the demonstration, without politeness: the instances are ours alone."""
    plain = load_settings(data_dir=directory, database_url=dsn, port=free_port(), workers=1, instance_requests_per_s=0)
    return demo_settings(plain, instances)


@asynccontextmanager
async def _database(cluster: Cluster, template: str) -> AsyncIterator[str]:
    name = f"acceptance_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield cluster.dsn(name)
        finally:
            await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await connection.close()


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The catalog in a process of its own; its landing page."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    part = Part("serve", settings_environment(settings), settings.data_dir / "serve.log")
    services = Services(settings, [part])
    part.start()
    try:
        services.wait_ready(lambda: None)
        yield services.url
    finally:
        part.stop()


def web_address(instance: Instance) -> str:
    """Where people see an instance: what `via` must name."""
    parts = urlsplit(instance.url)
    return f"{parts.scheme}://{parts.netloc}"
