"""A fresh, migrated PostGIS database for every test: a clone of a template in a cluster of our own under ~/.cache."""

from __future__ import annotations

import asyncio
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
#: Those of migrations as they were a week ago.
OLD_TEMPLATES = """
    SELECT datname FROM pg_database
    WHERE datname ~ '^slim_' AND (pg_stat_file('base/' || oid)).modification < now() - interval '7 days'"""


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
    name = f"slim_{hashlib.sha256(scripts.encode()).hexdigest()[:16]}"
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        await connection.execute("SELECT pg_advisory_lock(1)")
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f"DROP DATABASE IF EXISTS {name}_new WITH (FORCE)")
            await connection.execute(f"CREATE DATABASE {name}_new")
            await migrate(cluster.dsn(f"{name}_new"))
            await _slim(cluster.dsn(f"{name}_new"))
            await connection.execute(f"ALTER DATABASE {name}_new RENAME TO {name}")
            for row in await connection.fetch(OLD_TEMPLATES):
                await connection.execute(f"DROP DATABASE IF EXISTS {row['datname']}")
    finally:
        await connection.close()
    return name


async def _slim(dsn: str) -> None:
    """Without the thousands of reference systems that nothing here uses a copy takes half the time."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("DELETE FROM spatial_ref_sys WHERE srid NOT IN (4326, 3857)")
        await connection.execute("VACUUM FULL spatial_ref_sys")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
async def untouched(cluster: Cluster) -> AsyncIterator[list[str]]:
    """Databases that tests were given and wrote nothing into: the next ones get them."""
    names: list[str] = []
    yield names
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    for name in names:
        await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await connection.close()


@pytest.fixture
async def database(cluster: Cluster, template: str, untouched: list[str]) -> AsyncIterator[str]:
    """The address (DSN) of a database as it is after migrations, that nobody else uses meanwhile."""
    connection = await asyncpg.connect(cluster.dsn("postgres"))
    try:
        if untouched:
            name = untouched.pop()
        else:
            name = f"test_{secrets.token_hex(6)}"
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        yield cluster.dsn(name)
        if await _is_untouched(connection, name):
            untouched.append(name)
        else:
            await connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    finally:
        await connection.close()


async def _is_untouched(connection: asyncpg.Connection, name: str) -> bool:
    """Whether nobody ever wrote a row into it, those of its own catalog included: read-only tests are many."""
    for _ in range(10):
        if not await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = $1", name):
            break
        # what a connection did is counted when it ends
        await asyncio.sleep(0.01)
    else:
        return False
    written = "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = $1"
    return bool(await connection.fetchval(written, name) == 0)
