"""A fresh, migrated PostGIS database for every test: a clone of a template in a cluster of our own under ~/.cache."""

from __future__ import annotations

import fcntl
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from federation.database import checksum, migrate
from federation.sqlfiles import sql_files
from panofed.cluster import Cluster, ClusterConfig

HOME = Path("~/.cache/panofed-tests").expanduser()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A running server. Test sessions at the same time share it; the last one to leave stops it."""
    HOME.mkdir(parents=True, exist_ok=True)
    cluster = Cluster(ClusterConfig(directory=HOME / "pg", durable=False, dist_directory=HOME / "pgdist"))
    with (HOME / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        cluster.ensure_running()
        yield cluster
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        cluster.stop()


@pytest.fixture(scope="session")
async def template(cluster: Cluster) -> str:
    """The name of a database with all migrations applied; made once for each state of the migrations."""
    scripts = "".join(checksum(path.read_text(encoding="utf-8")) for path in sql_files("migrations"))
    name = f"template_{hashlib.sha256(scripts.encode()).hexdigest()[:16]}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute("SELECT pg_advisory_lock(1)")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f"DROP DATABASE IF EXISTS {name}_new WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {name}_new")
            await migrate(cluster.dsn(f"{name}_new"))
            await connection.execute(f"ALTER DATABASE {name}_new RENAME TO {name}")
    finally:
        await connection.close()
    return name


@pytest.fixture
async def database(cluster: Cluster, template: str) -> AsyncIterator[str]:
    """The address (DSN) of a new database that nobody else uses; dropped afterwards."""
    name = f"test_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield cluster.dsn(name)
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()
