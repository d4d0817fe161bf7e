"""Servers that a test may stop, fill up or reach by password, and an instance to harvest into them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import asyncpg
import pytest

from federation.database import Pool, Role, migrate, open_pool
from federation.settings import Settings
from harvester.fold import fold
from harvester.progress import Progress
from harvester.visit import Harvester
from panofed.cluster import DATABASE, Cluster, ClusterConfig
from tests.hostile import local_settings
from tests.invariants import check_invariants
from tests.origin import Origin

MakeCluster = Callable[..., Cluster]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def quick_settings(**overrides: object) -> Settings:
    """No politeness, quick repeats, batches small enough that a visit has many."""
    values: dict[str, object] = {
        "page_sequences": 4,
        "batch_pictures": 40,
        "instance_requests_per_s": 0,
        "outbound_body_max_bytes": 64_000_000,
        "outbound_attempts": 2,
        "zstd_level": 3,
        "pool_size": 4,
        "dictionary_items": 1_000_000,
    }
    return local_settings(**{**values, **overrides})


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A database that is harvested into by one process; `admin_dsn` may do everything."""

    dsn: str
    admin_dsn: str
    pool: Pool
    settings: Settings
    disk: Path | None = None

    @property
    def harvester(self) -> Harvester:
        return Harvester(dsn=self.dsn, pool=self.pool, settings=self.settings, disk=self.disk)

    async def ask(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """One statement as the administrator, on a connection of its own."""
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(statement, *arguments)
            return rows
        finally:
            await connection.close()

    async def register(self, origin: Origin, name: str = "north") -> None:
        await self.ask("INSERT INTO instances (id, name, url, state) VALUES ($1, $1, $2, 'enabled')", name, origin.url)

    async def visit(self, **overrides: object) -> Progress:
        harvester = self.harvester
        if overrides:
            harvester = replace(harvester, settings=self.settings.model_copy(update=overrides))
        (row,) = await harvester.due(every=True)
        return await harvester.visit(row, lambda _: None)

    async def check(self, *, foldable: bool = True) -> int:
        """The index is right, before and after counts are folded; returns how many pictures are served."""
        connection = await asyncpg.connect(self.admin_dsn)
        try:
            served = await check_invariants(connection)
            if not foldable:
                return served
            await fold(self.pool, self.settings)
            return await check_invariants(connection)
        finally:
            await connection.close()


@asynccontextmanager
async def desk_of(
    dsn: str, *, admin_dsn: str = "", disk: Path | None = None, **overrides: object
) -> AsyncIterator[Desk]:
    """A migrated database, ready to be harvested into."""
    settings = quick_settings(**overrides)
    await migrate(dsn)
    async with open_pool(dsn, Role.WRITER, settings) as pool:
        yield Desk(dsn=dsn, admin_dsn=admin_dsn or dsn, pool=pool, settings=settings, disk=disk)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """An empty folder everybody can enter: root's server runs as somebody else."""
    made = Path(tempfile.mkdtemp(prefix="pf-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def make_cluster() -> Iterator[MakeCluster]:
    """Makes running clusters with an empty database each, and removes them with everything they stored."""
    made: list[Cluster] = []

    def make(directory: Path, **wishes: object) -> Cluster:
        values: dict[str, object] = {"directory": directory, "durable": False, "shared_buffers": "16MB"}
        cluster = Cluster(ClusterConfig(**values | wishes))  # type: ignore[arg-type]
        made.append(cluster)
        cluster.ensure_running()
        cluster.ensure_database(DATABASE)
        return cluster

    yield make
    for cluster in made:
        cluster.remove()


@pytest.fixture(scope="module")
def own_cluster(folder: Path, make_cluster: MakeCluster) -> Cluster:
    """A server that is this module's alone; over TCP it asks for passwords."""
    return make_cluster(folder / "pg", port=free_port())


@pytest.fixture
def disk(folder: Path) -> Iterator[Path]:
    """A disk of 160 MB: a file system in memory, of this test alone."""
    place = folder / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=160m,mode=0755", "tmpfs", str(place)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        place.rmdir()
        pytest.skip(f"mounts nothing as user {os.geteuid()}; see test_full_disk_by_an_ordinary_user: {done.stderr}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)
    place.rmdir()
